"""MCP from both sides: `hanlin mcp` with the Python client, its messages against the protocol's schemas, and, through --mcp, Hanlin's
own client with real servers and with one that writes down what it is sent."""
import asyncio
import json
import subprocess
import sys

import jsonschema
import pytest
from conftest import ROOT, clean_environment
from mcp import Client
from mcp.client.stdio import StdioServerParameters

HANDSHAKE = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
SERVER = ROOT / "tests/tools/mcp_server.py"
WEATHER = ROOT / "tests/tools/weather.json"

# A server that answers with the version of its first argument and appends every message that it gets to its second.
RECORDER = """
import json, sys
version, log = sys.argv[1:]
modern = version == "2026-07-28"
tools = [{"name": "echo", "inputSchema": {"type": "object"}}]
for line in sys.stdin:
    with open(log, "a") as file:
        file.write(line)
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    method, result = message["method"], None
    if method == "server/discover" and modern:
        result = {"supportedVersions": [version], "capabilities": {"tools": {"listChanged": True}}, "ttlMs": 0, "cacheScope": "private"}
    elif method == "initialize" and not modern:
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "r", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": tools, "ttlMs": 0, "cacheScope": "private"}
    elif method == "tools/call":
        for ask in ("ping", "roots/list", "sampling/createMessage"):
            if not modern:
                print(json.dumps({"jsonrpc": "2.0", "id": ask, "method": ask, "params": {}}), flush=True)
        result = {"content": [{"type": "text", "text": "echoed"}]}
    elif method == "subscriptions/listen":
        continue
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": "Method not found"}
    else:
        reply["result"] = result | ({"resultType": "complete"} if modern else {})
    print(json.dumps(reply), flush=True)
"""


@pytest.fixture()
def hanlin_mcp(hanlin_bin, tmp_path):
    """hanlin_mcp(*flags): how to start `hanlin mcp`."""
    def parameters(*flags):
        return StdioServerParameters(command=str(hanlin_bin.resolve()), args=["mcp", *flags], env=clean_environment(tmp_path), cwd=tmp_path)

    return parameters


@pytest.fixture(scope="session")
def validate(shared):
    """validate(version, definition, message): against the schema of that version of the protocol."""
    def check(version, definition, message):
        schema = json.loads(shared(f"cases/mcp/schema/{version}.schema.json").read_text())
        key = "$defs" if "$defs" in schema else "definitions"
        jsonschema.validate(message, {"$ref": f"#/{key}/{definition}", key: schema[key]})

    return check


def talk(hanlin_bin, home, messages, *flags):
    """Sends messages to `hanlin mcp` and gives its replies by id."""
    text = "".join(json.dumps(message) + "\n" for message in messages)
    result = subprocess.run([hanlin_bin, "mcp", *flags], input=text, capture_output=True, text=True, env=clean_environment(home), cwd=home, timeout=60)
    assert result.returncode == 0, result.stderr
    replies = [json.loads(line) for line in result.stdout.splitlines()]
    return {reply.get("id"): reply for reply in replies}


@pytest.mark.parametrize("mode, version", [("auto", MODERN), ("legacy", "2025-11-25")])
def test_python_client(hanlin_mcp, mode, version):
    async def run():
        async with Client(hanlin_mcp("--tools", str(WEATHER), "--deny-tools", "clock"), mode=mode) as client:
            assert client.protocol_version == version
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == ["get_weather", "send_email", "calculator"]
            result = await client.call_tool("get_weather", {"location": "北京"})
            assert not result.is_error
            assert json.loads(result.content[0].text) == {"location": "北京", "condition": "sunny", "temperature": 22, "unit": "celsius"}
            result = await client.call_tool("calculator", {"expression": "1/0"})
            assert result.is_error and "zero" in result.content[0].text
            result = await client.call_tool("calculator", {"wrong": 1})
            assert result.is_error
            with pytest.raises(Exception, match="Unknown tool"):
                await client.call_tool("clock", {})
            answers = await asyncio.gather(*(client.call_tool("calculator", {"expression": f"{i}*{i}"}) for i in range(30)))
            assert [answer.content[0].text for answer in answers] == [str(i * i) for i in range(30)]

    asyncio.run(asyncio.wait_for(run(), 120))


def test_python_client_cancels(hanlin_mcp):
    async def run():
        tool = {"name": "slow", "command": {"argv": ["sleep", "1000"], "timeout_s": 3000}}
        parameters = hanlin_mcp("--tools", "slow.json")
        (parameters.cwd / "slow.json").write_text(json.dumps(tool))
        async with Client(parameters) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.call_tool("slow", {}), 0.5)
            assert (await client.call_tool("calculator", {"expression": "6*7"})).content[0].text == "42"

    asyncio.run(asyncio.wait_for(run(), 120))


@pytest.mark.parametrize("version", HANDSHAKE)
def test_replies_follow_the_schema_of_the_handshake_versions(hanlin_bin, tmp_path, validate, version):
    def request(number, method, **params):
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

    replies = talk(hanlin_bin, tmp_path, [
        request(1, "initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "t", "version": "1"}),
        {"jsonrpc": "2.0", "method": "notifications/initialized"}, request(2, "tools/list"),
        request(3, "tools/call", name="calculator", arguments={"expression": "1+1"}), request(4, "tools/call", name="none"), request(5, "ping")],
        "--tools", str(WEATHER))
    assert replies[1]["result"]["protocolVersion"] == version
    for number, definition in [(1, "InitializeResult"), (2, "ListToolsResult"), (3, "CallToolResult"), (5, "EmptyResult")]:
        validate(version, definition, replies[number]["result"])
    for reply in replies.values():
        validate(version, "JSONRPCMessage", reply)
    assert replies[3]["result"]["content"][0]["text"] == "2"
    assert replies[4]["error"]["code"] == -32602


def test_replies_follow_the_schema_of_the_stateless_version(hanlin_bin, tmp_path, validate):
    def request(number, method, version=MODERN, **params):
        meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": meta, **params}}

    replies = talk(hanlin_bin, tmp_path, [
        request(1, "server/discover"), request(2, "tools/list"), request(3, "tools/call", name="calculator", arguments={"expression": "1+1"}),
        request(4, "tools/list", version="2030-01-01"), request(5, "tools/call", name="none")])
    for number, definition in [(1, "DiscoverResultResponse"), (2, "ListToolsResultResponse"), (3, "CallToolResultResponse"), (4, "UnsupportedProtocolVersionError"), (5, "JSONRPCErrorResponse")]:
        validate(MODERN, definition, replies[number])


def recorded(hanlin_bin, tmp_path, version):
    """What Hanlin's client sends to a server of this version while a tool is listed and called."""
    (tmp_path / "recorder.py").write_text(RECORDER)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "r_echo", "arguments": {"text": "天"}}}
    replies = talk(hanlin_bin, tmp_path, [call], "--mcp", f"r={sys.executable} recorder.py {version} sent.jsonl")
    assert replies[1]["result"] == {"content": [{"type": "text", "text": "echoed"}], "isError": False}
    return [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_the_clients_messages_follow_the_schema(hanlin_bin, tmp_path, validate, version):
    sent = recorded(hanlin_bin, tmp_path, version)
    definitions = {"initialize": "InitializeRequest", "tools/list": "ListToolsRequest", "tools/call": "CallToolRequest", "server/discover": "DiscoverRequest",
                   "subscriptions/listen": "SubscriptionsListenRequest", "notifications/initialized": "InitializedNotification", "notifications/cancelled": "CancelledNotification"}
    methods = [message.get("method") for message in sent]
    assert "tools/list" in methods and "tools/call" in methods
    assert ("initialize" in methods) == (version != MODERN)
    for message in sent:
        if message.get("method") == "server/discover":
            validate(MODERN, "DiscoverRequest", message)  # the question is always asked in the new way
        elif "method" in message:
            validate(version, definitions[message["method"]], message)
        validate(version, "JSONRPCMessage", message)
    if version != MODERN:
        replies = {message["id"]: message for message in sent if "method" not in message}
        assert replies["ping"]["result"] == {}
        assert replies["roots/list"]["error"]["code"] == replies["sampling/createMessage"]["error"]["code"] == -32601


@pytest.mark.parametrize("package", ["mcp", "fastmcp"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_tools_of_real_servers_are_offered_on(hanlin_mcp, package, transport):
    """Python client → hanlin mcp → real server."""
    command = [sys.executable, str(SERVER), package, transport]
    server = None
    try:
        if transport == "http":
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            flags = ["--mcp", f"far={server.stdout.readline().strip()}"]
        else:
            flags = ["--mcp", "far=" + " ".join(command)]

        async def run():
            async with Client(hanlin_mcp("--no-basic-tools", *flags)) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                assert names == ["far_add", "far_fail", "far_steps", "far_wait", "far_grow"]
                assert (await client.call_tool("far_add", {"a": 2, "b": 40})).content[0].text == "42"
                failed = await client.call_tool("far_fail", {"reason": "no such city"})
                assert failed.is_error and "no such city" in failed.content[0].text

        asyncio.run(asyncio.wait_for(run(), 120))
    finally:
        if server is not None:
            server.kill()
            server.wait()


def test_mcp_config(hanlin_bin, tmp_path):
    config = {"mcpServers": {"far": {"command": sys.executable, "args": [str(SERVER), "mcp", "stdio"], "env": {"NOTE": "${HOME}"}}}}
    (tmp_path / "mcp.json").write_text(json.dumps(config))
    result = subprocess.run([hanlin_bin, "mcp", "--list", "--mcp-config", "mcp.json", "--allow-tools", "far_add"], capture_output=True, text=True,
                            env=clean_environment(tmp_path), cwd=tmp_path, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "far_add\n  Adds two numbers\n" in result.stdout and "far_fail (asks)\n" in result.stdout


def test_wrong_flags_are_explained(hanlin_bin, tmp_path):
    for flags, message in [(["--search", "google"], "--search: expected corpus=PATH"), (["--sql", "x"], "--sql: expected NAME=FILE"), (["--mcp", "x"], "--mcp: expected NAME=PROGRAM"),
                           (["--tools", "none.json"], "none.json: No such file"), (["--deny-tools", "x"], "there is no such tool"), (["--read-roots", "/none"], "read_file: root /none")]:
        result = subprocess.run([hanlin_bin, "mcp", *flags], input="", capture_output=True, text=True, env=clean_environment(tmp_path), cwd=tmp_path, timeout=60)
        assert result.returncode in (1, 2) and message in result.stderr, result.stderr
