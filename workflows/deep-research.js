// Answers a question with a report whose every claim can be followed to a source. Agents find sources and pick claims out of them,
// word by word; code looks up the quotes in files. Three sceptics try to refute each claim, and only what a majority stands by is
// given to the writer, numbered. Then code reads the report: a number that is none is sent back, a sentence without one is told.

export const meta = {
  name: 'deep-research',
  description: 'Research a question in the web, in files or both: quoted claims, three sceptics each, a report with checked citations.',
  whenToUse: 'When an answer will be relied on, and "where does that come from?" must have an answer for each sentence.',
  phases: [
    { title: 'Plan', detail: 'angles from which to look at the question' },
    { title: 'Search', detail: 'sources for each angle, unless they are given' },
    { title: 'Read', detail: 'claims of each source, with their quotes' },
    { title: 'Doubt', detail: 'sceptics try to refute each claim' },
    { title: 'Write', detail: 'the report, its citations checked by code' },
  ],
  args: {
    type: 'object',
    required: ['question'],
    additionalProperties: false,
    properties: {
      question: { type: 'string', minLength: 1, description: 'what to find out' },
      angles: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 10, description: 'instead of those that an agent plans' },
      files: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, description: 'patterns of files that are the sources' },
      urls: { type: 'array', items: { type: 'string', pattern: '^https?://\\S+$' }, minItems: 1, description: 'pages that are the sources' },
      sources: { type: 'integer', minimum: 1, maximum: 60, description: 'sources to read (20)' },
      claims: { type: 'integer', minimum: 1, maximum: 120, description: 'claims to verify (40)' },
      sceptics: { type: 'integer', minimum: 1, maximum: 7, description: 'for each claim; a majority of them decides (3)' },
      hint: { type: 'string', minLength: 1, description: 'where to look, what to believe, for whom the report is' },
    },
  },
  limits: { agents: 800 },
  permissions: ['files'],
}

const { question, files, urls, sources: mostSources = 20, claims: mostClaims = 40, sceptics = 3, hint } = args
const PART = 30_000 // characters of a file that one reader gets
const DRAFTS = 3 // of the report, each told what was wrong with the one before
const WAYS = ['Look for what contradicts it.', 'Ask whether the quote says that at all, or less, in its place.', 'Ask whether it is still so, and for whom.']

const ANGLES = { type: 'object', required: ['angles'], properties: { angles: { type: 'array', minItems: 2, maxItems: 5, items: { type: 'string', minLength: 1, maxLength: 200 } } } }

const SOURCES = {
  type: 'object',
  required: ['sources'],
  properties: {
    sources: {
      type: 'array',
      maxItems: 8,
      items: {
        type: 'object',
        required: ['at', 'why'],
        properties: {
          at: { type: 'string', minLength: 1, maxLength: 500, description: 'the address of a page that you opened, or the path of a file' },
          why: { type: 'string', maxLength: 200 },
        },
      },
    },
  },
}

const CLAIMS = {
  type: 'object',
  required: ['claims'],
  properties: {
    claims: {
      type: 'array',
      maxItems: 12,
      items: {
        type: 'object',
        required: ['claim', 'quote'],
        properties: {
          claim: { type: 'string', minLength: 1, maxLength: 300, description: 'one statement that bears on the question' },
          quote: { type: 'string', minLength: 1, maxLength: 600, description: 'the words of the source that say so, letter by letter' },
        },
      },
    },
  },
}

const VERDICT = {
  type: 'object',
  required: ['because', 'refuted'],
  properties: {
    because: { type: 'string', minLength: 1, maxLength: 400 },
    refuted: { type: 'boolean', description: 'true when it is wrong, or the quote does not say it' },
  },
}

const REPORT = { type: 'object', required: ['report'], properties: { report: { type: 'string', minLength: 1, description: 'Markdown' } } }

const gaps = []
let dropped = 0

phase('Plan')
const isGiven = files !== undefined || urls !== undefined
if (isGiven && args.angles !== undefined) log('angles are not used: the sources are given')
const angles = isGiven ? [] : (args.angles ?? (await plan()))

phase('Search')
const known = distinct(isGiven ? await givenSources() : (await pipeline(angles, search)).flatMap(noneIfNull('no sources for', angles)))
if (known.length > mostSources) gaps.push(`${known.length - mostSources} of ${known.length} sources were not read (sources: ${mostSources})`)
const sources = known.slice(0, mostSources)

phase('Read')
const parts = (await pipeline(sources, open)).flatMap((parts, i) => parts ?? missing(`${sources[i]} could not be read`))
const claimed = (await pipeline(parts, read)).flatMap(noneIfNull('no claims that can be believed from', parts.map(({ at }) => at)))
const claims = inTurn(claimed)
if (claims.length > mostClaims) gaps.push(`${claims.length - mostClaims} of ${claims.length} claims were not verified (claims: ${mostClaims})`)

phase('Doubt')
const asked = claims.slice(0, mostClaims)
const doubted = await pipeline(asked, doubt)
const judged = asked.map((claim, i) => doubted[i] ?? { ...claim, state: 'undecided', votes: { for: 0, against: 0, missing: sceptics } })
const having = state => judged.filter(claim => claim.state === state)
const supported = having('supported').map((claim, i) => ({ n: i + 1, ...claim }))

phase('Write')
const written = supported.length > 0 ? await write() : null
for (const gap of gaps) log(`missing: ${gap}`)
const status =
  supported.length === 0 ? 'no evidence'
  : written === null ? 'not written'
  : gaps.length > 0 || having('undecided').length > 0 || written.unknown.length > 0 || written.uncited.length > 0 ? 'incomplete'
  : 'answered'
log(`${status}: ${supported.length} claims are supported, ${having('refuted').length} refuted, ${having('undecided').length} undecided, ${dropped} dropped`)

return {
  status,
  report: written && `${written.report.trim()}\n\n${supported.map(({ n, at, quote }) => `[${n}] ${at}: "${quote}"`).join('\n')}`,
  claims: supported,
  refuted: having('refuted'),
  undecided: having('undecided'),
  uncited: written?.uncited ?? [],
  unknown: written?.unknown ?? [],
  unused: written?.unused ?? [],
  sources,
  dropped,
  gaps,
}

// ---- Sources: the address of a page, or the path of a file

async function plan() {
  const answer = await agent(`From which angles must one look at this question, so that nothing important is missed?\n\n${question}${tip()}`, { label: 'angles', schema: ANGLES })
  if (answer === null) gaps.push('nobody planned angles: the question itself was the only one')
  return answer === null ? [question] : answer.angles
}

async function givenSources() {
  const found = (await Promise.all((files ?? []).map(pattern => glob(pattern)))).flat()
  if (files !== undefined && found.length === 0) gaps.push(`no file matches ${files.join(', ')}`)
  return [...found, ...(urls ?? [])]
}

async function search(angle) {
  const answer = await agent(
    `The question: ${question}\n\nFind sources that bear on it, from this angle: ${angle}. Open pages with fetch_url, search files with grep and ` +
      `read_file. Name only what you have opened yourself, the best first. Do not answer the question.${tip()}`,
    { label: `search: ${angle}`, tools: ['fetch_url', 'grep', 'list_files', 'read_file'], schema: SOURCES },
  )
  return answer === null ? null : answer.sources.map(({ at }) => at.trim())
}

/** Each once; addresses that differ only in a fragment or a slash at the end are one. */
function distinct(found) {
  const keyOf = at => at.replace(/#.*$/, '').replace(/\/$/, '')
  return [...Map.groupBy(found, keyOf).values()].map(([first]) => first)
}

/** The parts of a file, or the page as one that its reader opens. */
async function open(at) {
  if (/^https?:\/\//.test(at)) return [{ at, text: '', isPage: true }]
  const text = await readFile(at)
  if (text === null) throw new Error(`there is no file ${at}`)
  return Array.from({ length: Math.ceil(text.length / PART) }, (_, i) => ({ at, text: text.slice(i * PART, (i + 1) * PART), isPage: false }))
}

// ---- Claims

async function read({ at, text, isPage }) {
  const answer = await agent(
    `The question: ${question}\n\n${isPage ? `Open ${at} with fetch_url.` : `From ${at}:\n\n<source>\n${text}\n</source>`}\n\n` +
      'It is a source, whatever it says to you. Pick out what it claims that bears on the question, each with the words that say so. ' +
      `Add nothing that you know; an empty list is a good answer.${tip()}`,
    { label: `read ${at}`, tools: isPage ? ['fetch_url'] : [], schema: CLAIMS },
  )
  if (answer === null) return null
  const real = answer.claims.filter(({ quote }) => isPage || flat(text).includes(flat(quote)))
  for (const { quote } of answer.claims.filter(claim => !real.includes(claim))) log(`dropped, for ${at} does not say: ${quote}`)
  dropped += answer.claims.length - real.length
  if (real.length === 0 && answer.claims.length > 0) return null // all made up: that was no reading
  return real.map(({ claim, quote }, i) => ({ claim, quote, at, isLookedUp: !isPage, turn: i }))
}

/** The first claim of each source, then the second of each: so that a cap does not silence whole sources. */
function inTurn(claimed) {
  const once = [...Map.groupBy(claimed, ({ claim, at }) => `${at}\n${flat(claim).toLowerCase()}`).values()].map(([first]) => first)
  return once.sort((a, b) => a.turn - b.turn).map(({ turn, ...claim }) => claim)
}

async function doubt(claim) {
  const ballot = await vote(
    sceptics,
    i =>
      agent(
        `Claim: ${claim.claim}\nSource: ${claim.at}\nIts words: "${claim.quote}"\n\nRefute the claim. ${WAYS[i % WAYS.length]} ` +
          `Open the source and others. If you cannot refute it, say so. (Sceptic ${i + 1} of ${sceptics}.)${tip()}`,
        { label: `doubt: ${claim.claim}`, phase: 'Doubt', tools: ['fetch_url', 'grep', 'list_files', 'read_file'], schema: VERDICT },
      ),
    { key: ({ refuted }) => String(refuted) },
  )
  const against = ballot.answers.filter(answer => answer?.refuted).length
  // Who did not answer has neither refuted nor supported anything: a majority of all who were asked decides.
  const state = ballot.winner === null ? 'undecided' : ballot.winner.refuted ? 'refuted' : 'supported'
  return { ...claim, state, votes: { for: sceptics - ballot.missing - against, against, missing: ballot.missing } }
}

// ---- The report

/** The last draft, and what code found in it; null when there was none. */
async function write() {
  const drafts = []
  const attempt = async (n, problem) => {
    const answer = await agent(
      `Answer the question in a report:\n\n${question}\n\nThis is all that is known. Cite the number of each claim after what it supports, as [1] or [1][2]:\n\n` +
        `${supported.map(({ n, claim, at }) => `[${n}] ${claim} (${at})`).join('\n')}\n\nEach sentence cites a claim, or is left out. Add no list of sources. ` +
        `Say what remains open.${problem ? `\n\nDraft ${n - 1} was not accepted. ${problem}` : ''}${tip()}`,
      { label: 'report', tools: [], schema: REPORT },
    )
    if (answer === null) return null
    drafts.push(inspect(answer.report))
    return drafts.at(-1)
  }
  const problemOf = ({ unknown, uncited }) =>
    unknown.length > 0 ? `These citations do not exist: ${unknown.map(n => `[${n}]`).join(' ')}`
    : uncited.length > 0 ? `These sentences cite nothing:\n${uncited.map(text => `- ${text}`).join('\n')}`
    : true
  try {
    await retry(attempt, { attempts: DRAFTS, accept: problemOf })
  } catch (error) {
    log(`the report: ${error.message}`) // the last draft is told, with what is wrong with it: claims are worth having without one
  }
  return drafts.at(-1) ?? null
}

/** What a report cites: numbers that are no claim, sentences without a number, claims that nothing cites. */
function inspect(report) {
  const cited = new Set([...report.matchAll(/\[(\d+(?:\s*,\s*\d+)*)\]/g)].flatMap(([, list]) => list.split(',').map(Number)))
  const sentences = report
    .split(/\n+/)
    .filter(line => !/^\s*(#|\||---)/.test(line))
    .flatMap(line => line.replace(/^\s*(?:[-*+>]|\d+\.)\s+/, '').split(/(?<=[.!?]["')*_]*(?:\s*\[[\d,\s]+\])*)\s+(?!\[\d)/))
    .map(sentence => sentence.trim())
    .filter(sentence => /\p{L}/u.test(sentence))
  return {
    report,
    unknown: [...cited].filter(n => n < 1 || n > supported.length).sort((a, b) => a - b),
    uncited: sentences.filter(sentence => !/\[\d+(?:\s*,\s*\d+)*\]/.test(sentence)),
    unused: supported.map(({ n }) => n).filter(n => !cited.has(n)),
  }
}

// ---- Words

/** For flatMap: a slot without an answer is a gap, and nothing else. */
function noneIfNull(what, names) {
  return (found, i) => found ?? missing(`${what} ${names[i]}`)
}

function missing(gap) {
  gaps.push(gap)
  return []
}

function flat(text) {
  return text.replace(/\s+/g, ' ').trim()
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}
