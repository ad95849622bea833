// y-websocket: clients of one server, whose ws:// address is the argument. The runs stand in driver.mjs.
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { CountingSocket, arrivedIn, drive } from './driver.mjs'

await drive(room => {
  const doc = new Y.Doc()
  const map = doc.getMap('microcosms')
  // disableBc: without it two clients of one process would talk past the server
  const options = { disableBc: true, WebSocketPolyfill: CountingSocket }
  const provider = new WebsocketProvider(process.argv[2], room, doc, options)
  return {
    synced: new Promise(resolve => provider.once('sync', resolve)),
    set: entries => doc.transact(() => { for (const [key, entry] of entries) map.set(key, entry) }),
    arrived: n => arrivedIn(map, n),
    close: () => { provider.destroy(); doc.destroy() }
  }
})
