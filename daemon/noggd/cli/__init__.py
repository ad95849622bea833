"""The `nogg` command. Start-up stays lean: no pydantic, asyncio, websockets or pycrdt in a plain command."""
