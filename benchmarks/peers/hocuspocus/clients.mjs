// Hocuspocus: clients of one server, whose ws:// address is the argument. The runs stand in driver.mjs.
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import * as Y from 'yjs'
import { CountingSocket, arrivedIn, drive } from './driver.mjs'

await drive(name => {
  const document = new Y.Doc()
  const map = document.getMap('microcosms')
  // a connection for each client, as separate devices have
  const websocketProvider = new HocuspocusProviderWebsocket({ url: process.argv[2], WebSocketPolyfill: CountingSocket })
  const provider = new HocuspocusProvider({ name, document, websocketProvider })
  provider.attach()
  return {
    synced: new Promise(resolve => provider.on('synced', resolve)),
    set: entries => document.transact(() => { for (const [key, entry] of entries) map.set(key, entry) }),
    arrived: n => arrivedIn(map, n),
    close: () => { provider.destroy(); websocketProvider.destroy(); document.destroy() }
  }
})
