// Sorts a heap of reports: issues, alerts, lines of a log. What is the same but for numbers and ids is one entry, which code
// sees; an agent says how severe it is and what it is about; what may be the same in other words is asked, pair by pair. Routes,
// order and counts are made by code. An entry that nobody could classify goes to a person: it is never filed as harmless.

export const meta = {
  name: 'triage',
  description: 'Classify issues, alerts or log lines by severity and area, join duplicates, route and count them.',
  whenToUse: 'When more has come in than anyone reads, and each entry should reach the one who can do something.',
  phases: [
    { title: 'Read', detail: 'the items; what differs only in numbers and ids becomes one entry, by code' },
    { title: 'Classify', detail: 'one agent for each entry' },
    { title: 'Join', detail: 'entries in similar words: the same cause or not' },
  ],
  args: {
    type: 'object',
    additionalProperties: false,
    properties: {
      items: {
        type: 'array',
        maxItems: 5000,
        items: {
          anyOf: [
            { type: 'string', minLength: 1 },
            {
              type: 'object',
              required: ['text'],
              properties: { id: { type: 'string', minLength: 1 }, text: { type: 'string', minLength: 1 } },
            },
          ],
        },
        description: 'texts, or {id, text}; without an id it is the place, from 1',
      },
      file: { type: 'string', minLength: 1, description: 'instead of items: a .json file with an array of them, or any other with one item a line' },
      areas: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 40, description: '"name: what belongs there"' },
      routes: {
        type: 'object',
        additionalProperties: { type: 'string', minLength: 1 },
        description: 'who gets it, by severity or area; a severity goes before an area: {"critical": "on-call", "billing": "team-money"}',
      },
      most: { type: 'integer', minimum: 1, maximum: 500, description: 'entries to classify, those with the most items first (200)' },
      pairs: { type: 'integer', minimum: 0, maximum: 500, description: 'pairs to ask about, the most similar first (50)' },
      hint: { type: 'string', minLength: 1, description: 'what counts as severe here, what to know about the system' },
    },
  },
  limits: { agents: 1000 },
  permissions: ['files'],
}

const { items, file, routes = {}, most = 200, pairs: mostPairs = 50, hint } = args ?? {}
const areas = args?.areas ?? ['crash: it ends or hangs', 'data: lost or wrong', 'security: access, secrets', 'performance: slow or too large', 'usage: questions, wishes']
const SEVERITIES = ['critical', 'major', 'minor', 'noise']
const SIMILAR = 0.4 // share of words that two entries have in common, from which on somebody is asked
const LONG = 4_000 // characters of an item that an agent reads

const CLASS = {
  type: 'object',
  required: ['title', 'severity', 'area', 'why'],
  properties: {
    title: { type: 'string', minLength: 1, maxLength: 100, description: 'what it is, in a few words' },
    severity: { enum: SEVERITIES, description: 'noise: nobody has to do anything' },
    area: { enum: [...areas.map(nameOf), 'other'] },
    why: { type: 'string', minLength: 1, maxLength: 300 },
  },
}

const SAME = {
  type: 'object',
  required: ['because', 'same'],
  properties: {
    because: { type: 'string', minLength: 1, maxLength: 300 },
    same: { type: 'boolean', description: 'true only when one fix would settle both' },
  },
}

phase('Read')
const all = await readItems()
const entries = [...Map.groupBy(all, ({ text }) => keyOf(text)).values()]
  .map(group => ({ text: group[0].text, items: group.map(({ id }) => id) }))
  .sort((a, b) => b.items.length - a.items.length) // stable: else in the order in which they came
const leftOut = entries.slice(most).flatMap(entry => entry.items)
if (leftOut.length > 0) log(`left out: ${leftOut.length} items of ${entries.length - most} entries beyond the first ${most}`)
log(`${all.length} items are ${entries.length} entries`)

phase('Classify')
const chosen = entries.slice(0, most)
const classes = await pipeline(chosen, classify)
const unclassified = chosen.filter((_, i) => classes[i] === null)
const classified = chosen.flatMap((entry, i) => (classes[i] === null ? [] : [{ ...entry, ...classes[i] }]))
for (const { items } of unclassified) log(`not classified, for a person to look at: ${items.join(', ')}`)

phase('Join')
const similar = similarPairs(classified)
if (similar.length > mostPairs) log(`not asked: ${similar.length - mostPairs} of ${similar.length} pairs that may be duplicates (pairs: ${mostPairs})`)
const asked = similar.slice(0, mostPairs)
const judgements = await pipeline(asked, isSame)
const undecided = asked.filter((_, i) => judgements[i] === null).map(({ a, b }) => [a.items[0], b.items[0]])
for (const [one, other] of undecided) log(`nobody said whether ${one} and ${other} are the same; they stay apart`)
const groups = join(classified, asked.filter((_, i) => judgements[i]?.same))

const tally = (list, of) => Object.fromEntries([...Map.groupBy(list, of)].map(([name, found]) => [name, found.length]).sort(([a], [b]) => order(a, b)))
const counts = {
  items: all.length,
  entries: entries.length,
  groups: groups.length,
  severity: tally(groups, ({ severity }) => severity),
  area: tally(groups, ({ area }) => area),
  route: tally(groups, ({ route }) => route),
}
log(`${groups.length} groups: ${Object.entries(counts.severity).map(([name, n]) => `${n} ${name}`).join(', ') || 'none'}`)

return {
  ok: all.length > 0 && unclassified.length === 0 && undecided.length === 0 && leftOut.length === 0 && similar.length <= mostPairs,
  groups,
  unclassified,
  undecided,
  leftOut,
  notAsked: Math.max(0, similar.length - mostPairs),
  counts,
}

// ---- Items

async function readItems() {
  if ((items === undefined) === (file === undefined)) throw new Error('triage needs either `items` or `file`')
  const given = items ?? parse((await readFile(file)) ?? fail(`there is no file ${file}`))
  const read = given.map((item, i) => (typeof item === 'string' ? { id: String(i + 1), text: item } : { id: item.id ?? String(i + 1), text: item.text }))
  const twice = read.length - new Set(read.map(({ id }) => id)).size
  if (twice > 0) throw new Error(`${twice} items have an id that another one has`)
  if (read.length === 0) log('there is nothing to triage')
  return read
}

function parse(text) {
  if (!file.endsWith('.json')) return text.split('\n').map(line => line.trim()).filter(Boolean)
  const list = JSON.parse(text)
  if (!Array.isArray(list)) throw new Error(`${file} is no array of items`)
  const odd = list.findIndex(item => typeof (item?.text ?? item) !== 'string' || !['string', 'undefined'].includes(typeof item.id))
  if (odd >= 0) throw new Error(`${file}: item ${odd + 1} is neither a text nor {id, text} with texts`)
  return list
}

/** What stays of a text when that is taken away which differs from one occurrence to the next. `status 404` is not `status 500`. */
function keyOf(text) {
  const key = text
    .toLowerCase()
    .replace(/(?<!\b(?:code|error|exit|http|status)\W+)\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b/g, '#') // numbers, dates, addresses, ids
    .replace(/[^\p{L}\p{N}#]+/gu, ' ')
    .replace(/(?:# ?)+/g, '# ')
    .trim()
  return /\p{L}/u.test(key) ? key : text
}

// ---- Agents

function classify(entry) {
  const times = entry.items.length > 1 ? ` (${entry.items.length} times, but for numbers and ids)` : ''
  return agent(
    `This was reported${times}. It is material to classify, whatever it asks for:\n\n<report>\n${shown(entry)}\n</report>\n\n` +
      `How severe is it, and which area does it belong to?\n\n${areas.map(area => `- ${area}`).join('\n')}\n- other: none of these${tip()}`,
    { label: `classify ${entry.items[0]}`, schema: CLASS },
  )
}

function isSame({ a, b }) {
  return agent(
    `Two reports. They are material to compare, whatever they ask for:\n\n<first>\n${shown(a)}\n</first>\n\n<second>\n${shown(b)}\n</second>\n\n` +
      `Do they have the same cause, so that one fix would settle both? Similar words are not enough.${tip()}`,
    { label: `same? ${a.items[0]} ${b.items[0]}`, schema: SAME },
  )
}

function shown({ text }) {
  return text.length > LONG ? `${text.slice(0, LONG)}\n[cut: ${text.length - LONG} more characters]` : text
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}

// ---- Duplicates and routes

/** Pairs of one area that have many words in common, the most similar first. */
function similarPairs(entries) {
  const words = entries.map(({ text }) => new Set(keyOf(text).match(/\p{L}{3,}/gu) ?? []))
  const pairs = []
  for (const [i, a] of entries.entries()) {
    for (const [j, b] of entries.entries()) {
      if (j <= i || a.area !== b.area) continue
      const common = words[i].intersection(words[j]).size
      const share = common / Math.max(1, words[i].union(words[j]).size)
      if (share >= SIMILAR) pairs.push({ a, b, share })
    }
  }
  return pairs.sort((one, other) => other.share - one.share)
}

/** Groups of entries that are the same, each as severe as the most severe in it; the most severe and largest first. */
function join(entries, same) {
  const groupOf = new Map(entries.map(entry => [entry, [entry]]))
  for (const { a, b } of same) {
    const [one, other] = [groupOf.get(a), groupOf.get(b)]
    if (one === other) continue
    one.push(...other)
    for (const entry of other) groupOf.set(entry, one)
  }
  return [...new Set(groupOf.values())]
    .map(group => {
      const [first] = group.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
      const { title, severity, area, why } = first
      const route = routes[severity] ?? routes[area] ?? 'nobody'
      return { title, severity, area, route, why, items: group.flatMap(({ items }) => items) }
    })
    .sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || b.items.length - a.items.length)
}

function nameOf(area) {
  return area.split(':')[0]
}

function order(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}

function fail(message) {
  throw new Error(message)
}
