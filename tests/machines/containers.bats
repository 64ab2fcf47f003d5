#!/usr/bin/env bats
# Containers of podman: what linger does inside, and from a second container. Each has the host's network, which
# is a namespace of this file's own (see hosts).
load ../e2e/helper

VERSION=$(sed -n "s/^VERSION = //p" "$ROOT/Makefile")
IMAGE=registry.example/liblinger:$VERSION
BESIDE=(podman --log-level=error run --rm --user 0) # linger in a second container
ECHO_CLIENT=$ROOT/build/examples/echo-client
RESET="12 bytes, then ECONNRESET (Connection reset by peer)"

# runc, no limit of pids, and limits as they are: a host may lack CAP_SYS_RESOURCE, and its cgroups controllers.
setup_file() {
    export CONTAINERS_STORAGE_CONF=$SCRATCH/storage.conf CONTAINERS_CONF=$SCRATCH/containers.conf FILES=$SCRATCH/files
    printf '[storage]\ndriver = "overlay"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' "$SCRATCH" "$SCRATCH" >"$CONTAINERS_STORAGE_CONF"
    cat >"$CONTAINERS_CONF" <<END
[containers]
netns = "host"
pids_limit = 0
default_ulimits = ["nofile=1024:$(ulimit -Hn)", "nproc=$(ulimit -Hu):$(ulimit -Hu)"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
infra_image = "localhost/pause"
END
    # The Dockerfile by its letter: packages are there already.
    mkdir "$SCRATCH/apt" "$FILES"
    printf '#!/bin/sh\n' >"$SCRATCH/apt/apt-get"
    chmod +x "$SCRATCH/apt/apt-get"
    tar -C "$ROOT/build/bookworm-machine" -c . | podman import --change 'ENV PATH=/apt:/usr/bin:/bin' - debian:bookworm-slim
    podman build --isolation=chroot -v "$SCRATCH/apt:/apt" -f "$ROOT/examples/kubernetes/Dockerfile" -t "$IMAGE" "$ROOT"
    podman create --name files "$IMAGE"
    podman export files | tar -x -C "$FILES"
}

# podman rm may leave what the container stored, and its name with that, while podman run still ends.
removed() { # NAME
    podman rm -f --time 0 "$1" >/dev/null 2>&1 || true
    ! podman container exists --external "$1"
}

teardown() {
    eventually removed server
    eventually removed keep
    end_started
}

# serve ARGUMENT...: of podman run; the container is called "server". It prints its port.
serve() {
    start - podman run --name server -v "$FILES:/opt/linger:ro" "$@"
    hear
    PORT=${REPLY##* }
}

@test "the Dockerfile's image: linger is its entry point" {
    expect output "$(podman run --rm "$IMAGE" --version)" "linger $VERSION"
}

@test "a Go server as process 1 of a container FROM scratch, under linger run, without SYS_PTRACE" {
    rootfs go
    serve --rootfs "$ROOTFS" /opt/linger/linger run -m rst -- /server
    expect "the client" "$("$ECHO_CLIENT" "$PORT" 1)" "$RESET"
    expect "the first process" "$(podman exec server /opt/linger/linger check /proc/1/exe | head -1)" /proc/1/exe
}

@test "busybox, which is static, under linger run: its exit status is the container's" {
    mkdir -p "$BATS_TEST_TMPDIR/root/bin"
    cp /bin/busybox "$BATS_TEST_TMPDIR/root/bin/sh"
    run podman run --rm -v "$FILES:/opt/linger:ro" --rootfs "$BATS_TEST_TMPDIR/root" /opt/linger/linger run -m rst -- /bin/sh -c 'exit 7'
    echo "$output"
    expect status "$status" 7
}

@test "one library in containers of bookworm, trixie and musl" {
    for libc in bookworm trixie musl; do
        if [ $libc = musl ]; then
            rootfs musl
        else
            ROOTFS=$ROOT/build/$libc-machine:O
        fi
        serve -v "$ROOT/build/examples:/examples:ro" -e LD_PRELOAD=/opt/linger/liblinger.so -e LINGER_MODE=rst --rootfs "$ROOTFS" \
            "$([ $libc = musl ] && echo /server || echo /examples/echo-server)"
        expect "the client under $libc" "$("$ECHO_CLIENT" "$PORT" 1)" "$RESET"
        eventually removed server
    done
}

@test "attach from a second container, by pid" {
    rootfs glibc
    serve --rootfs "$ROOTFS" /server
    "${BESIDE[@]}" --pid=container:server --cap-add SYS_PTRACE "$IMAGE" attach -m rst 1
    expect "the client" "$("$ECHO_CLIENT" "$PORT" 1)" "$RESET"
}

# Debian's nginx, whose workers are of another user, with a connection that one of them has open.
serve_nginx() {
    start - podman run --name server --rootfs "$ROOT/build/bookworm-machine:O" nginx -g 'daemon off;'
    PORT=80
    await_listener
    exec {CLIENT}<>/dev/tcp/127.0.0.1/80
    printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&$CLIENT
    read -r -t 30 REPLY <&$CLIENT
    [[ $REPLY = "HTTP/1.1 200"* ]]
}

@test "attach and close with a container's default capabilities: the workers that they may not inspect, and 125" {
    serve_nginx
    for command in "attach -q -m rst" "close -q -m rst --all"; do
        # shellcheck disable=SC2086 # options
        says_no '* at port 80 held by processes that this user may not inspect: CAP_SYS_PTRACE is needed*' "${BESIDE[@]}" --pid=container:server "$IMAGE" $command --port 80
    done
}

@test "attach and close where the port is held in another PID namespace, or there is no such port" {
    serve_nginx
    for command in "attach -m rst" "close -m rst --all"; do
        # shellcheck disable=SC2086 # options
        says_no '*another PID namespace*--pid=container:NAME*kubectl debug --target*' "${BESIDE[@]}" --cap-add SYS_PTRACE "$IMAGE" $command --port 80
        # shellcheck disable=SC2086 # options
        says_no '*in this network namespace*nsenter -t PID -n*' "${BESIDE[@]}" --network=none "$IMAGE" $command --port 80
    done
}

# The container of keep.yaml, as far as podman knows its words.
start_keep() {
    local flags
    mkdir "$BATS_TEST_TMPDIR/policy" "$BATS_TEST_TMPDIR/run"
    echo "fin-rst port=80,8080" >"$BATS_TEST_TMPDIR/policy/policy"
    mapfile -t flags < <(python3 - "$ROOT/examples/kubernetes/keep.yaml" <<'END'
import sys, yaml
pod = list(yaml.safe_load_all(open(sys.argv[1])))[-1]["spec"]["template"]["spec"]
[keep] = pod["containers"]
security = keep["securityContext"]
assert pod["hostPID"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
print("--pid=host", "--read-only", "--security-opt=no-new-privileges", f"--user={security['runAsUser']}", "--cap-drop=all", sep="\n")
print(*("--cap-add=" + name for name in security["capabilities"]["add"]), keep["image"], *keep["command"][1:], sep="\n")
END
    )
    start - podman run --name keep -v "$BATS_TEST_TMPDIR/policy:/etc/linger:ro" -v "$BATS_TEST_TMPDIR/run:/run/linger-keep" "${flags[@]}"
    KEEP_OUT=$OUT
    eventually test -e "$BATS_TEST_TMPDIR/run/listeners" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

# is_kept PORT REQUEST REPLY ARGUMENT...: of podman run; a container that is started twice, with its own network.
is_kept() {
    local life pid port=$1 conversation=("$2" ${3:+"$3"})
    shift 3
    for life in one two; do
        start - podman run --name server --network=none "$@"
        for _ in $(seq "${LISTENERS:-1}"); do
            OUT=$KEEP_OUT WITHIN=60 hear
            echo "$REPLY"
            [[ $REPLY == "listener "*":$port  before fin  verdict fin-rst  applied  rule 1, "* ]]
        done
        pid=$(podman inspect --format '{{.State.Pid}}' server)
        expect "life $life" "$(nsenter -t "$pid" -n python3 "$ROOT/tests/tools/talk.py" "$port" 100 "${conversation[@]}" <<<close)" \
            "whole=100 eof=100 reset=0"
        expect "TIME_WAIT in life $life" "$(nsenter -t "$pid" -n ss -Htan state time-wait "sport = :$port")" ""
        eventually removed server
    done
}

@test "linger keep in keep.yaml's container: nginx, Go, Python and Java in others, which are started again" {
    start_keep
    rootfs go
    is_kept 8080 hello hello --rootfs "$ROOTFS" /server 8080
    LISTENERS=2 is_kept 80 http "" --rootfs "$ROOT/build/bookworm-machine:O" nginx -g 'daemon off;'
    is_kept 8080 hello hello --rootfs /:O python3 -c "import socket
listener = socket.create_server(('', 8080))
while True:
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100))
    connection.close()"
    is_kept 8080 hello hello --rootfs /:O java "$ROOT/tests/tools/JvmServer.java" socket 8080
}

# options FILE [KIND]: podman's, for the first container of that kind in deployment.yaml, or for attach.yaml. No kube
# play: it wants a cgroup with controllers for the pod, which a host may keep to itself.
options() {
    python3 - "$ROOT/examples/kubernetes/$1" "${2:-}" "$BATS_TEST_TMPDIR/volume" <<'END'
import sys, yaml
file, kind, volume = sys.argv[1:]
document = yaml.safe_load(open(file))
pod = document["spec"]["template"]["spec"] if kind else {}
container = pod[kind][0] if kind else document
context = {**pod.get("securityContext", {}), **container["securityContext"]}
words = [f"--user={context['runAsUser']}", f"--read-only={context.get('readOnlyRootFilesystem', False)}"]
if not context["allowPrivilegeEscalation"]:
    words.append("--security-opt=no-new-privileges")
words += [f"--cap-{verb}={name}" for verb, names in context["capabilities"].items() for name in names]
words += [f"--env={e['name']}={e['value']}" for e in container.get("env", [])]
words += [f"--volume={volume}:{m['mountPath']}:{'ro' if m.get('readOnly') else 'rw'}" for m in container.get("volumeMounts", [])]
if "command" in container:
    words += [f"--entrypoint={container['command'][0]}", container["image"], *container["command"][1:]]
print(*words, sep="\n")
END
}

@test "deployment.yaml: the init container brings the library, and the server's log says what it does" {
    rootfs glibc
    mkdir -m 777 "$BATS_TEST_TMPDIR/volume"
    mapfile -t init < <(options deployment.yaml initContainers)
    podman run --rm "${init[@]}"
    mapfile -t server < <(options deployment.yaml containers)
    start - podman run --name server "${server[@]}" --rootfs "$ROOTFS" /server
    hear
    PORT=${REPLY##* }
    expect "the client" "$("$ECHO_CLIENT" "$PORT" 20)" "240 bytes, then EOF"
    expect TIME_WAIT "$(time_wait "$PORT")" 0
    grep -q "event=close .* role=server .*verdict=fin-rst" "$BATS_TEST_TMPDIR/stderr"
}

@test "attach.yaml: in a second container with its two capabilities, to a server of another user's" {
    rootfs glibc
    serve --user 12345 --rootfs "$ROOTFS" /server 8080
    mapfile -t second < <(options attach.yaml)
    read -ra command < <(sed -n 's/^#  *kubectl debug .* -- //p' "$ROOT/examples/kubernetes/attach.yaml")
    run podman run --rm --pid=container:server "${second[@]}" --entrypoint "${command[0]}" "$IMAGE" "${command[@]:1}"
    echo "$output"
    [[ $output == *"1 listener, 0 connections in 1 process, 0 failed" ]]
    expect "the client" "$("$ECHO_CLIENT" 8080 20)" "240 bytes, then EOF"
    expect TIME_WAIT "$(time_wait 8080)" 0
}
