"""Does with a pod what a kubelet would, as far as examples/kubernetes is concerned, without a cluster.

    pod.py run MANIFEST IMAGE ROOT COMMAND...    the init containers, whose image is the directory
                                                 IMAGE, then COMMAND instead of the first
                                                 container's own, whose image is ROOT
    pod.py own MANIFEST IMAGE                    the first container, by its own command
    pod.py debug CUSTOM IMAGE COMMAND...         an ephemeral container with that part of a spec

To be run as root in a mount namespace of its own, and in the process namespace of the pod.
"""
import ctypes
import os
import subprocess
import sys

import yaml

CAPABILITIES = {"DAC_READ_SEARCH": 2, "SYS_PTRACE": 19, "SYS_ADMIN": 21}  # linux/capability.h
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38


def prctl(*arguments):
    return ctypes.CDLL(None, use_errno=True).prctl(*arguments, *[0] * (5 - len(arguments)))


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def prepare_root(root, container, volumes):
    places = [(root + m["mountPath"], m) for m in container.get("volumeMounts", [])]
    for place in [f"{root}/proc", *[place for place, _ in places]]:
        os.makedirs(place, exist_ok=True)
    mount("--bind", root, root)
    if container["securityContext"].get("readOnlyRootFilesystem"):
        mount("-o", "remount,bind,ro", root)
    mount("-t", "proc", "proc", f"{root}/proc")
    for place, wanted in places:
        mount("--bind", volumes[wanted["name"]], place)
        if wanted.get("readOnly"):
            mount("-o", "remount,bind,ro", place)


def enter(root, security):
    """Into the root, with the user and the privileges that the security context leaves."""
    os.chroot(root)
    os.chdir("/")
    assert security["capabilities"]["drop"] == ["ALL"]
    kept = [CAPABILITIES[name] for name in security["capabilities"].get("add", [])]
    number = 0
    while prctl(PR_CAPBSET_READ, number) >= 0:
        if number not in kept and prctl(PR_CAPBSET_DROP, number) != 0:
            raise OSError(f"capability {number} cannot be dropped")
        number += 1
    os.setgroups([])
    os.setgid(security["runAsUser"])
    os.setuid(security["runAsUser"])
    assert security["allowPrivilegeEscalation"] is False
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def begin(root, container, volumes, command):
    prepare_root(root, container, volumes)
    enter(root, container["securityContext"])
    os.execve(command[0], command, {e["name"]: e["value"] for e in container.get("env", [])})


def make_config(directory, data):
    """As a kubelet does: one link is replaced, and with it all of the files change at once."""
    os.makedirs(f"{directory}/..1")
    for name, text in data.items():
        with open(f"{directory}/..1/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.symlink(f"..data/{name}", f"{directory}/{name}")
    os.symlink("..1", f"{directory}/..data")
    return directory


def make_volume(volume, beside, documents):
    directory = f"{beside}.{volume['name']}"
    if "hostPath" in volume:
        os.makedirs(volume["hostPath"]["path"], exist_ok=True)
        return volume["hostPath"]["path"]
    if "configMap" in volume:
        [data] = [d["data"] for d in documents if d["metadata"]["name"] == volume["configMap"]["name"]]
        return make_config(directory, data)
    os.makedirs(directory, exist_ok=True)
    size = volume["emptyDir"].get("sizeLimit", "1Gi").replace("Mi", "M").replace("Gi", "G")
    mount("-t", "tmpfs", "-o", f"mode=777,size={size}", "tmpfs", directory)
    return directory


def run(manifest, image, root, command):
    with open(manifest, encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    pod = documents[-1]["spec"]["template"]["spec"]
    volumes = {v["name"]: make_volume(v, root, documents) for v in pod["volumes"]}
    containers = pod.get("initContainers", [])
    for container in containers + pod["containers"]:
        container["securityContext"] = {**pod.get("securityContext", {}), **container["securityContext"]}
    for container in containers:
        child = os.fork()
        if child == 0:
            begin(image, container, volumes, container["command"])
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit(f"init container {container['name']} failed")
    begin(root, pod["containers"][0], volumes, command or pod["containers"][0]["command"])


def debug(custom, image, command):
    with open(custom, encoding="utf-8") as file:
        begin(image, yaml.safe_load(file), {}, command)


if sys.argv[1] == "run":
    run(*sys.argv[2:5], sys.argv[5:])
elif sys.argv[1] == "own":
    run(sys.argv[2], None, sys.argv[3], None)
else:
    debug(*sys.argv[2:4], sys.argv[4:])
