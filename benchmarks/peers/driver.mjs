// What the Node peers have in common: the runs, driven by lines of JSON. How each peer opens a document stands
// in its own clients.mjs.
// stdin:  {"run": "latency" | "stream" | "fanout" | "fill" | "join", "n": number, "clients": number}
// stdout: {"times_ms": [...]} or {"seconds": s, "bytes": b}; {"error": text} if a run does not end
import { createInterface } from 'node:readline'
import WebSocket from 'ws'

const LIMIT_S = 120
let total = 0

// Counts the bytes that a client has received.
export const received = bytes => { total += bytes }

export class CountingSocket extends WebSocket {
  constructor (...args) {
    super(...args)
    this.on('message', data => received(data.byteLength))
  }
}

// Resolves when n entries have arrived in a Y.Map. Counts what each event names: a Y.Map's size walks all of it.
export const arrivedIn = (map, n) => new Promise(resolve => {
  let left = n
  const look = event => {
    left -= event.keysChanged.size
    if (left <= 0) { map.unobserve(look); resolve() }
  }
  map.observe(look)
})

// Carry out runs until stdin ends. `open(room)` gives a client: `synced` (a promise), `set(entries)` in
// one transaction, `arrived(n)` (a promise that n more entries came from others) and `close()`.
export async function drive (open) {
  const now = () => Number(process.hrtime.bigint()) / 1e6
  // What noggd stores for one reference, as one entry of one map: about 115 bytes.
  const entry = id => ({ microcosmID: id, lastAccessed: Date.now(), password: null, view: 'spatial' })
  const id = n => `bench.${String(n).padStart(16, '0')}`
  let serial = 0
  let pair = null

  async function several (room, n) {
    const clients = [open(room)]
    await clients[0].synced // the room is there before others look for it
    for (let i = 1; i < n; i++) clients.push(open(room))
    await Promise.all(clients.map(client => client.synced))
    return clients
  }
  const write = client => {
    const key = id(serial++)
    client.set([[key, entry(key)]])
  }

  const runs = {
    // one entry set on A until B has it, one after the other
    async latency (n) {
      const [a, b] = pair ??= await several('pair', 2)
      const times = []
      for (let i = 0; i < n; i++) {
        const start = now()
        const there = b.arrived(1)
        write(a)
        await there
        times.push(now() - start)
      }
      return { times_ms: times }
    },

    // n entries, each its own transaction, as fast as possible, until B has all
    async stream (n) {
      const [a, b] = await several(`stream${serial}`, 2)
      const start = now()
      const there = b.arrived(n)
      for (let i = 0; i < n; i++) write(a)
      await there
      const seconds = (now() - start) / 1000
      for (const client of [a, b]) client.close()
      return { seconds }
    },

    // one entry until the last of `clients` others has it
    async fanout (n, clients) {
      const [writer, ...readers] = await several(`fanout${serial}`, clients + 1)
      const times = []
      for (let i = 0; i < n; i++) {
        const start = now()
        const there = Promise.all(readers.map(reader => reader.arrived(1)))
        write(writer)
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
      const there = second.arrived(n)
      for (let i = 0; i < n; i += 1000) {
        first.set(Array.from({ length: Math.min(1000, n - i) }, (_, k) => [id(i + k), entry(id(i + k))]))
        await new Promise(resolve => setImmediate(resolve)) // let it be sent
      }
      await there
      second.close()
      return { seconds: 0 }
    },

    // a fresh client of the filled room until it has all n
    async join (n) {
      const before = total
      const start = now()
      const client = open('join')
      await client.arrived(n)
      const seconds = (now() - start) / 1000
      client.close()
      return { seconds, bytes: total - before }
    }
  }

  for await (const line of createInterface({ input: process.stdin })) {
    const { run, n, clients } = JSON.parse(line)
    let timer
    const late = new Promise(resolve => {
      timer = setTimeout(() => resolve({ error: `${run} did not end in ${LIMIT_S} s` }), LIMIT_S * 1000)
    })
    console.log(JSON.stringify(await Promise.race([runs[run](n, clients), late])))
    clearTimeout(timer)
  }
  process.exit(0)
}
