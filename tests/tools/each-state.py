"""Makes TCP sockets in each state there is, in a network namespace of its own (nft drops what must
not arrive), prints "ready" and keeps them until a line comes on standard input."""
import socket
import subprocess
import sys

subprocess.run(
    ["nft", "-f", "-"],
    check=True,
    input=b"table ip states {}\ndelete table ip states\ntable ip states {\nchain leaving {\ntype filter hook output priority 0;\n}\n}\n",
)


def drop(rule):
    subprocess.run(["nft", "add", "rule", "ip", "states", "leaving"] + rule.split() + ["drop"], check=True)


def listen(port):
    return socket.create_server(("127.0.0.1", port))


def pair(port):
    with listen(port) as listener:
        client = socket.create_connection(("127.0.0.1", port))
        return client, listener.accept()[0]


def call(port):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


kept = []
kept.append(listen(7000))  # listen
kept += pair(7001)  # established, twice
drop("tcp dport 7002")
kept += [call(7002), call(7002)]  # syn-sent, twice
kept.append(listen(7003))
drop("tcp sport 7003")
kept += [call(7003), call(7003), call(7003)]  # syn-sent here, syn-recv there
client, server = pair(7004)
drop("tcp dport 7004")
client.shutdown(socket.SHUT_WR)  # fin-wait-1: its FIN is lost
kept += [client, server]
client, server = pair(7005)
client.shutdown(socket.SHUT_WR)  # fin-wait-2 here, close-wait there
kept += [client, server]
client, server = pair(7006)
client.shutdown(socket.SHUT_WR)
drop("tcp sport 7006")
server.shutdown(socket.SHUT_WR)  # last-ack: its FIN is lost
kept += [client, server]
client, server = pair(7007)
drop("tcp dport 7007")
client.shutdown(socket.SHUT_WR)
server.shutdown(socket.SHUT_WR)  # closing: both have sent a FIN, this side's is not acknowledged
kept += [client, server]
for _ in range(4):
    client, server = pair(7008)
    client.close()
    server.close()  # time-wait
six = socket.create_server(("::1", 7009), family=socket.AF_INET6)
kept += [six, socket.create_connection(("::1", 7009))]  # IPv6
print("ready", flush=True)
sys.stdin.readline()
