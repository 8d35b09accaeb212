"""The browser shows pages of loopback, runs their scripts, and reaches nobody else."""

import asyncio

import pytest
from playwright.async_api import Error


async def test_the_browser_runs_a_page_served_on_loopback(browser_page):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b"<h1>old</h1><script>document.querySelector('h1').textContent = 'new'</script>"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        await browser_page.goto(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert await browser_page.text_content("h1") == "new"
        with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
            await browser_page.goto("http://example.com/")
