// A Hocuspocus server on loopback, in memory, with its defaults; the port is the argument.
import { Server } from '@hocuspocus/server'

await new Server({ address: '127.0.0.1', port: Number(process.argv[2]), quiet: true }).listen()
