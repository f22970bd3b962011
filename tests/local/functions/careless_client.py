"""
A client of the Runtime API that makes mistakes, in place of an interpreter.

Prints what it is answered, one line of JSON for each step.
"""

# ruff: noqa: T201  # what a function prints is what is tested

import http.client
import json
import os
import socket
import time

ADDRESS = os.environ["AWS_LAMBDA_RUNTIME_API"]
NEXT = "/2018-06-01/runtime/invocation/next"


def say(*words):
    print(json.dumps(words), flush=True)


def post(connection, path, body):
    connection.request("POST", f"/2018-06-01/runtime/{path}", body, {"Expect": ""})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


# Asks, and hangs up before there is an event.
gone = http.client.HTTPConnection(ADDRESS)
gone.request("GET", NEXT)
time.sleep(0.1)
gone.close()
time.sleep(0.1)
say("hung up")
time.sleep(0.2)

connection = http.client.HTTPConnection(ADDRESS)
connection.request("GET", NEXT)
answer = connection.getresponse()
request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
say("event", dict(answer.headers), json.loads(answer.read()))

connection.request("GET", NEXT)
answer = connection.getresponse()
say("next", answer.status, json.loads(answer.read()))
say("wrong", *post(connection, "invocation/another/response", b"1"))
say("kind", *post(connection, f"invocation/{request_id}/thoughts", b"1"))
say("path", *post(connection, "elsewhere", b"1"))

host, port = ADDRESS.split(":")
with socket.create_connection((host, int(port))) as junk:
    junk.sendall(b"not HTTP at all\r\n\r\n")
    say("junk", junk.recv(1000).split(b"\r\n")[0].decode())

with socket.create_connection((host, int(port))) as careful:
    body = b'"done"'
    careful.sendall(
        f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\nHost: {ADDRESS}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    say("expect", careful.recv(1000).split(b"\r\n")[0].decode())
    careful.sendall(body)
    say("response", careful.recv(1000).split(b"\r\n")[0].decode())

time.sleep(30)
