// An automerge-repo that serves others over WebSockets on loopback, in memory; the port is the argument.
import { Repo } from '@automerge/automerge-repo'
import { WebSocketServerAdapter } from '@automerge/automerge-repo-network-websocket'
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]) })
const repo = new Repo({ network: [new WebSocketServerAdapter(server)], sharePolicy: async () => false })
await repo.networkSubsystem.whenReady()
