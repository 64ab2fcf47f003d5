"""Builds the image of a Dockerfile without a container runtime.

    image.py DOCKERFILE CONTEXT DIRECTORY

To be run in a mount namespace of its own, as root there. The last stage's files are left in
DIRECTORY, what it sets beside them (user, entrypoint) is printed as JSON. The base of a stage is
this machine itself, under an overlay, or nothing (scratch); packages are not installed, but have to
be installed here. An instruction that is not understood is an error.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys

# Stands before the real one in PATH: no network is needed, and nothing is changed.
APT_GET = """#!/bin/sh
[ "$1" = update ] && exit
[ "$1" = install ] || exit 1
shift
for name in "$@"; do
    case $name in -*) ;; *) dpkg-query -W "$name" >/dev/null || exit ;; esac
done
"""


def run(*command):
    subprocess.run(command, check=True, stdout=sys.stderr)


def instructions(path):
    pending = ""
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if line.startswith("#") or not line.strip():
            continue
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        name, _, rest = pending.partition(" ")
        yield name.upper(), rest.strip()
        pending = ""


class Stage:
    def __init__(self, base, scratch, number):
        self.directory = "/"
        self.settings = {}
        self.root = os.path.join(scratch, f"root{number}")
        os.mkdir(self.root)
        if base == "scratch":
            return
        layers = [os.path.join(scratch, f"{name}{number}") for name in ("upper", "work")]
        for layer in layers:
            os.mkdir(layer)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/,upperdir={layers[0]},workdir={layers[1]}", self.root)
        for name in ("dev", "proc"):
            run("mount", "--rbind", f"/{name}", f"{self.root}/{name}")
        os.mkdir(f"{self.root}/stand-ins")
        with open(f"{self.root}/stand-ins/apt-get", "w", encoding="utf-8") as file:
            file.write(APT_GET)
        os.chmod(f"{self.root}/stand-ins/apt-get", 0o755)

    def inside(self, path):
        return self.root + os.path.normpath(os.path.join(self.directory, path))

    def workdir(self, path):
        self.directory = os.path.join(self.directory, path)
        os.makedirs(self.inside("."), exist_ok=True)

    def copy(self, source_root, words):
        *sources, target = words
        into = self.inside(target)
        if target.endswith("/"):
            os.makedirs(into, exist_ok=True)
        assert len(sources) == 1 or target.endswith("/"), "COPY of several needs a directory"
        os.makedirs(os.path.dirname(into), exist_ok=True)
        for source in sources:
            path = os.path.join(source_root, source.lstrip("/"))
            if os.path.isdir(path):
                shutil.copytree(path, into, dirs_exist_ok=True)
            else:
                shutil.copy(path, into)

    def run(self, command):
        run("env", "-i", "PATH=/stand-ins:/usr/sbin:/usr/bin:/sbin:/bin", "chroot", self.root,
            "/bin/sh", "-c", f"cd {shlex.quote(self.directory)} && {command}")


def build(dockerfile, context, scratch):
    stages, stage = {}, None
    for name, rest in instructions(dockerfile):
        words = shlex.split(rest)
        if name == "FROM":
            stage = Stage(words[0], scratch, len(stages))
            stages[words[2] if words[1:2] == ["AS"] else len(stages)] = stage
        elif name == "WORKDIR":
            stage.workdir(rest)
        elif name == "COPY":
            origin = words[0].startswith("--from=") and stages[words.pop(0)[len("--from="):]]
            stage.copy(origin.root if origin else context, words)
        elif name == "RUN":
            stage.run(rest)
        elif name == "USER":
            stage.settings["user"] = rest
        elif name == "ENTRYPOINT":
            stage.settings["entrypoint"] = json.loads(rest)
        else:
            raise SystemExit(f"{name}: not understood")
    return stage


def main():
    dockerfile, context, directory = sys.argv[1:]
    scratch = f"{directory}.scratch"
    os.mkdir(scratch)
    run("mount", "-t", "tmpfs", "tmpfs", scratch)
    stage = build(dockerfile, context, scratch)
    shutil.copytree(stage.root, directory, symlinks=True)
    print(json.dumps(stage.settings))


main()
