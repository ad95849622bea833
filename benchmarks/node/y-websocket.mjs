// The y-websocket side of the benchmarks: clients of one y-websocket server, driven by lines of JSON.
// stdin:  {"run": "latency" | "stream" | "fanout" | "fill" | "join", "n": number}
// stdout: {"times_ms": [...]} or {"seconds": s, "bytes": b}; {"error": text} if a run does not end
// Argument: the server's ws:// address. Ends when stdin does.
import { createInterface } from 'node:readline'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const address = process.argv[2]
const now = () => Number(process.hrtime.bigint()) / 1e6
let received = 0

class CountingSocket extends WebSocket {
  constructor (...args) {
    super(...args)
    this.on('message', data => { received += data.byteLength })
  }
}

// What noggd stores for one reference, as one entry of one Y.Map: about 115 bytes.
const entry = id => ({ microcosmID: id, lastAccessed: Date.now(), password: null, view: 'spatial' })
const id = n => `bench.${String(n).padStart(16, '0')}`

function open (room) {
  const doc = new Y.Doc()
  // disableBc: without it two clients of one process would talk past the server
  const provider = new WebsocketProvider(address, room, doc, { disableBc: true, WebSocketPolyfill: CountingSocket })
  return {
    doc,
    map: doc.getMap('microcosms'),
    synced: new Promise(resolve => provider.once('sync', resolve)),
    close: () => { provider.destroy(); doc.destroy() }
  }
}

// Resolves when n entries have arrived in map. Counts what each event names: a Y.Map's size walks all of it.
const arrived = (map, n) => new Promise(resolve => {
  let left = n
  const look = event => {
    left -= event.keysChanged.size
    if (left <= 0) { map.unobserve(look); resolve() }
  }
  map.observe(look)
})

let serial = 0
async function several (room, n) {
  const clients = Array.from({ length: n }, () => open(room))
  await Promise.all(clients.map(client => client.synced))
  return clients
}

let pair = null

const runs = {
  // one entry set on A until B has it, one after the other
  async latency (n) {
    const [a, b] = pair ??= await several('pair', 2)
    const times = []
    for (let i = 0; i < n; i++) {
      const key = id(serial++)
      const start = now()
      const there = arrived(b.map, 1)
      a.map.set(key, entry(key))
      await there
      times.push(now() - start)
    }
    return { times_ms: times }
  },

  // n entries, each its own transaction, as fast as possible, until B has all
  async stream (n) {
    const [a, b] = await several(`stream${serial}`, 2)
    const start = now()
    const there = arrived(b.map, n)
    for (let i = 0; i < n; i++) {
      const key = id(serial++)
      a.map.set(key, entry(key))
    }
    await there
    const seconds = (now() - start) / 1000
    for (const client of [a, b]) client.close()
    return { seconds }
  },

  // one entry until the last of 50 clients has it
  async fanout (n) {
    const [writer, ...readers] = await several(`fanout${serial}`, 51)
    const times = []
    for (let i = 0; i < n; i++) {
      const key = id(serial++)
      const start = now()
      const there = Promise.all(readers.map(reader => arrived(reader.map, 1)))
      writer.map.set(key, entry(key))
      await there
      times.push(now() - start)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    for (const client of [writer, ...readers]) client.close()
    return { times_ms: times }
  },

  // n entries that a client and the server hold, for the joins that follow
  async fill (n) {
    const [first, second] = await several('join', 2) // first stays, so that the server keeps the room
    const there = arrived(second.map, n)
    for (let i = 0; i < n; i++) first.map.set(id(i), entry(id(i)))
    await there
    second.close()
    return { seconds: 0 }
  },

  // a fresh client of the filled room until it has all n
  async join (n) {
    const before = received
    const start = now()
    const client = open('join')
    await arrived(client.map, n)
    const seconds = (now() - start) / 1000
    client.close()
    return { seconds, bytes: received - before }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { run, n } = JSON.parse(line)
  let timer
  const late = new Promise(resolve => { timer = setTimeout(() => resolve({ error: `${run} did not end in 60 s` }), 60_000) })
  console.log(JSON.stringify(await Promise.race([runs[run](n), late])))
  clearTimeout(timer)
}
process.exit(0)
