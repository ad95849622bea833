// A real Yjs document under test control: one JSON command a line on stdin, one JSON answer a line on stdout.
// Bytes travel as base64. An exception of Yjs is an answer too: {"error": text}.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'
import { foldSession } from './fold.mjs'

const bytes = text => new Uint8Array(Buffer.from(text, 'base64'))
const text = update => Buffer.from(update).toString('base64')
const shared = { array: () => Y.Array.from([1]), text: () => new Y.Text('x'), map: () => new Y.Map([['k', 1]]), xml: () => new Y.XmlFragment() }
const odd = { undefined, bigint: 2n ** 60n, date: new Date(0), bytes: new Uint8Array([1, 2]), nan: NaN, infinity: Infinity }

// Yjs tells of a changed client id by console.log, and stdout is for answers
console.log = console.error

let doc, root, updates
const device = name => root.get(name) ?? root.set(name, new Y.Map())

const commands = {
  fresh ({ client }) {
    doc = new Y.Doc()
    if (client !== undefined) doc.clientID = client
    root = doc.getMap('devices')
    updates = []
    doc.on('update', update => updates.push(text(update)))
    return doc.clientID
  },
  apply: ({ update }) => Y.applyUpdate(doc, bytes(update)) ?? null,
  // entries of a device map: {key: value, or null to delete}; one transaction, one update
  write ({ name, entries }) {
    updates = []
    doc.transact(() => {
      const map = device(name)
      for (const [key, value] of Object.entries(entries)) value === null ? map.delete(key) : map.set(key, value)
    })
    return updates
  },
  replace ({ name, entries }) {
    updates = []
    root.set(name, new Y.Map(Object.entries(entries)))
    return updates
  },
  // what noggd must refuse or ignore: a shared type or an odd value, in a device map or straight in the root
  misuse ({ name, key, type, value }) {
    updates = []
    const made = type === undefined ? odd[value] : shared[type]()
    doc.transact(() => (name === undefined ? root : device(name)).set(key, made))
    return updates
  },
  vector: () => text(Y.encodeStateVector(doc)),
  missing: ({ vector }) => text(Y.encodeStateAsUpdate(doc, vector === undefined ? undefined : bytes(vector))),
  merged: ({ parts }) => text(Y.mergeUpdates(parts.map(bytes))),
  entries: () => root.toJSON(),
  fold: ({ members }) => foldSession(root.toJSON(), members ?? null)
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line)
  let answer
  try {
    answer = { result: commands[command](rest) }
  } catch (error) {
    answer = { error: String(error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
