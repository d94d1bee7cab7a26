"""A real MCP server for tests, written with the Python packages mcp or fastmcp.

usage: mcp_server.py mcp|fastmcp stdio|http|json
http and json (answers as JSON instead of events) listen on a free port of 127.0.0.1 and print the address as one line.
"""
import asyncio
import socket
import sys

package, transport = sys.argv[1:3]
if package == "mcp":
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    server = MCPServer("test")
else:
    from fastmcp import Context, FastMCP
    from fastmcp.exceptions import ToolError
    server = FastMCP("test")


@server.tool()
def add(a: int, b: int) -> str:
    """Adds two numbers"""
    return str(a + b)


@server.tool()
def fail(reason: str) -> str:
    """Fails"""
    raise ToolError(reason)


@server.tool()
async def steps(n: int, ctx: Context) -> str:
    """Reports its progress"""
    for i in range(n):
        await ctx.report_progress(i + 1, n)
    return "done"


@server.tool()
async def wait() -> str:
    """Waits until it is cancelled"""
    await asyncio.sleep(3600)
    return "never"


@server.tool()
async def grow(ctx: Context) -> str:
    """Adds the tool `grown` and says so"""
    def grown() -> str:
        return "I am new"

    if package == "mcp":
        server.add_tool(grown)
        await ctx.notify_tools_changed()
    else:
        server.tool(grown)
    try:
        await ctx.session.send_tool_list_changed()
    except Exception as error:  # the stateless version has no such channel
        print(error, file=sys.stderr)
    return "grown"


if transport == "stdio":
    server.run("stdio", **({} if package == "mcp" else {"show_banner": False}))
else:
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    app = server.streamable_http_app(json_response=transport == "json") if package == "mcp" else server.http_app(json_response=transport == "json")
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
