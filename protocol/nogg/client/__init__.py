"""The client library for apps: the seed's `Session`, for programs that block and for asyncio.

Here: a core without I/O (`core`, `calls`, `mirror`, `signals`, `requests`), and the two shells around it. Apps
take `Session` and `AsyncSession` from `nogg`, which loads only what is used: a program that blocks never loads
asyncio.
"""
