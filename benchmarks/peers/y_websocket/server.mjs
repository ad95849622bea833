// The y-websocket server on loopback, in memory, as its own command starts it; the port is the argument.
process.env.HOST = '127.0.0.1'
process.env.PORT = process.argv[2]
await import('./node_modules/@y/websocket-server/src/server.js')
