// The fold of noggd's documents, written a second time from docs/document.md alone: what the entries of all
// devices mean together. If this and the daemon ever disagree, one of them does not follow the document's page.
const MAX_STAMP = 2 ** 53 - 2 ** 30
const MICROCOSM_ID = /^(?=.{1,255}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const [REMOVED, REGISTERED, PLACED, RESTORED] = [0, 1, 2, 3]

const isCount = value => Number.isInteger(value) && value >= 0 && value <= MAX_STAMP
const isStamp = value => isCount(value) && value > 0
const isMap = value => value !== null && typeof value === 'object' && !Array.isArray(value)
const milliseconds = stamp => Math.floor(stamp / 1024)
const max = (values, none = 0) => values.reduce((a, b) => (a > b ? a : b), none)
const newer = (a, b) => a.entry.stamp - b.entry.stamp || (a.device < b.device ? -1 : a.device > b.device ? 1 : 0)
const newest = written => written.reduce((a, b) => (a && newer(a, b) >= 0 ? a : b), null)

function act (stored) {
  if (isStamp(stored)) return { stamp: stored, kind: REGISTERED, gone: 0, forgot: 0, base: 0 }
  if (!Array.isArray(stored) || stored.length < 2 || stored.length > 5 || !stored.every(isCount)) return null
  const [stamp, kind, gone = 0, forgot = 0, base = 0] = stored
  if (stamp === 0 || kind > RESTORED || Math.max(gone, base) > stamp || (kind === REMOVED && gone === 0)) return null
  return { stamp, kind, gone, forgot, base }
}

function field (stored, most) {
  if (!Array.isArray(stored) || stored.length < 2 || stored.length > 4) return null
  const [stamp, value, seen = null, forgot = null] = stored
  const text = value === null || (typeof value === 'string' && value !== '' && [...value].length <= most)
  if (!isStamp(stamp) || !text || (stored.length > 3 && !isCount(forgot))) return null
  if (seen !== null && !(isMap(seen) && Object.keys(seen).length <= 64 && Object.values(seen).every(isStamp))) return null
  return { stamp, value, seen: seen ?? {}, forgot }
}

function touch (stored) {
  if (isStamp(stored)) return { stamp: stored, at: milliseconds(stored), placed: false }
  const placed = Array.isArray(stored) && stored.length === 2 && isStamp(stored[0]) && isCount(stored[1])
  return placed ? { stamp: stored[0], at: stored[1], placed } : null
}

function parse (key, stored) {
  const [kind, name] = [key.split('/', 1)[0], key.slice(key.indexOf('/') + 1)]
  if (key === 'a') {
    const active = field(stored, 255)
    return active && (active.value === null || MICROCOSM_ID.test(active.value)) ? active : null
  }
  if (!'rvpt'.includes(kind) || !MICROCOSM_ID.test(name)) return null
  return kind === 'r' ? act(stored) : kind === 't' ? touch(stored) : field(stored, kind === 'v' ? 255 : 1024)
}

// The maps that count, adopted entries as further maps of the devices that wrote them.
function sources (devices, members) {
  const maps = []
  const adopted = {}
  for (const [device, stored] of Object.entries(devices)) {
    if (members !== null && !members.includes(device)) continue
    const own = {}
    for (const [key, value] of Object.entries(stored)) {
      const [, origin, inner] = /^x\/([^/]+)\/(.*)$/s.exec(key) ?? [null, null, key]
      const entry = parse(inner, value)
      if (entry === null) continue
      const into = origin === null ? own : (adopted[origin] ??= {})
      if (!(inner in into) || into[inner].stamp < entry.stamp) into[inner] = entry
    }
    maps.push([device, own])
  }
  return [...maps, ...Object.entries(adopted)]
}

function foldReference (maps, id) {
  const written = kind => maps.filter(([, map]) => `${kind}/${id}` in map)
    .map(([device, map]) => ({ device, entry: map[`${kind}/${id}`] }))
  const acts = written('r').map(each => each.entry)
  const gone = max(acts.map(each => each.gone))
  const forgot = max(acts.map(each => each.forgot))
  const base = max(acts.map(each => (each.gone < gone ? each.gone : each.base)))
  const alive = acts.some(each => each.kind !== REMOVED && each.stamp > gone &&
    (each.kind !== RESTORED || each.forgot === forgot))
  const restorable = !alive && gone > forgot
  const life = restorable ? base : gone
  const valid = ({ entry }) => entry.stamp > life && (entry.forgot === null || entry.forgot === forgot)

  const passwords = written('p').filter(valid).sort(newer).reverse()
  const known = device => max(passwords.map(({ entry }) => entry.seen[device] ?? 0))
  const password = passwords[0]?.entry.value ?? null
  const open = passwords.slice(1).filter(({ device, entry }) => known(device) < entry.stamp)
  const rivals = [...new Set(open.map(({ entry }) => entry.value))].filter(each => each !== null && each !== password)

  const touches = written('t').map(each => each.entry)
  const placed = touches.filter(each => each.placed && each.stamp > life).sort((a, b) => a.stamp - b.stamp || a.at - b.at).at(-1)
  const start = placed?.stamp ?? life
  let times = touches.filter(each => each.stamp > start).map(each => each.at)
  times.push(...acts.filter(each => each.kind === REGISTERED && each.stamp > start).map(each => milliseconds(each.stamp)))
  if (placed) times.push(placed.at)
  if (times.length === 0) times = acts.filter(each => each.kind !== REMOVED).map(each => milliseconds(each.stamp))
  const view = newest(written('v').filter(valid))?.entry.value ?? null
  return { alive, restorable, rivals, reference: { lastAccessed: max(times), password, view } }
}

// What the person sees of a session: `devices` is the root map as plain values, `members` whose maps count (null: all).
export function foldSession (devices, members = null) {
  const maps = sources(devices, members)
  const ids = new Set(maps.flatMap(([, map]) => Object.keys(map)).filter(key => key !== 'a').map(key => key.slice(2)))
  const actives = maps.filter(([, map]) => 'a' in map).map(([device, map]) => ({ device, entry: map.a })).sort(newer)
  const folded = [...ids].map(id => [id, foldReference(maps, id)])
  const alive = folded.filter(([, each]) => each.alive)
  // fromEntries, not assignment: __proto__ is a valid id
  return {
    references: Object.fromEntries(alive.map(([id, each]) => [id, each.reference])),
    conflicts: Object.fromEntries(alive.filter(([, each]) => each.rivals.length > 0).map(([id, each]) => [id, each.rivals])),
    restorable: Object.fromEntries(folded.filter(([, each]) => each.restorable).map(([id, each]) => [id, each.reference])),
    active: Object.fromEntries(actives.map(({ device, entry }) => [device, entry.value]))
  }
}
