// automerge-repo: clients of one server, whose ws:// address is the argument. The runs stand in driver.mjs.
// A room is a document: its first client makes it, the others find it by its address.
import { Repo } from '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { drive, received } from './driver.mjs'

class CountingAdapter extends WebSocketClientAdapter {
  receiveMessage (bytes) {
    received(bytes.byteLength)
    super.receiveMessage(bytes)
  }
}

const addresses = new Map()

await drive(room => {
  const repo = new Repo({ network: [new CountingAdapter(process.argv[2])] })
  let handle
  const synced = (async () => {
    if (addresses.has(room)) {
      handle = await repo.find(addresses.get(room))
    } else {
      await repo.networkSubsystem.whenReady()
      handle = repo.create({})
      addresses.set(room, handle.url)
    }
  })()
  return {
    synced,
    set: entries => handle.change(doc => { for (const [key, entry] of entries) doc[key] = entry }),
    arrived: async n => {
      if (!handle) { // fresh: what it was found with counts
        await synced
        n -= Object.keys(handle.doc()).length
      }
      if (n <= 0) return
      await new Promise(resolve => {
        const look = ({ patches }) => {
          n -= patches.filter(patch => patch.action === 'put' && patch.path.length === 1).length
          if (n <= 0) { handle.off('change', look); resolve() }
        }
        handle.on('change', look)
      })
    },
    close: () => repo.shutdown()
  }
})
