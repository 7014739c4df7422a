// Holds the documentation against the code. A reader picks out what a page claims, in the page's own words; code looks up
// each quote, so that a claim nobody made is dropped and every other one has a line. Agents that can only read then look for
// the code that decides it, and their evidence is looked up in the same way. What two of three call wrong is reported.

export const meta = {
  name: 'audit-docs',
  description: 'Check what the documentation claims against the code: wrong, stale or not verifiable, with file and line.',
  whenToUse: 'Before a release, or when nobody remembers which pages are still true.',
  phases: [
    { title: 'Collect', detail: 'what each page claims, in its own words' },
    { title: 'Verify', detail: 'each claim against the code; what looks wrong is looked at by two more' },
    { title: 'Fix', detail: 'with fix: a correction for each, written only after a yes' },
  ],
  args: {
    type: 'object',
    additionalProperties: false,
    properties: {
      docs: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        minItems: 1,
        description: 'patterns of the pages; default: README.md and all below docs/',
      },
      most: { type: 'integer', minimum: 1, maximum: 2000, description: 'claims to verify, in the order of the pages' },
      fix: { type: 'boolean', description: 'propose corrections, and write them when a person says so' },
      hint: { type: 'string', minLength: 1, description: 'where to look in this code, what to leave alone' },
    },
  },
  limits: { agents: 1000 },
  permissions: ['files', 'ask'],
}

const { docs = ['README.md', 'docs/**/*.{md,mdx,rst,adoc,txt}'], most = 200, fix = false, hint } = args ?? {}
const PART = 24_000 // characters of a page that one reader gets
const READERS = 3 // of a claim that the first of them calls wrong or stale

const CLAIMS = {
  type: 'object',
  required: ['claims'],
  properties: {
    claims: {
      type: 'array',
      maxItems: 30,
      items: {
        type: 'object',
        required: ['quote', 'claim'],
        properties: {
          quote: { type: 'string', minLength: 8, maxLength: 400, description: 'the words of the page, letter by letter' },
          claim: { type: 'string', minLength: 1, maxLength: 300, description: 'what has to be so in the code if they are true' },
        },
      },
    },
  },
}

const FOUND = {
  type: 'object',
  required: ['state', 'why'],
  properties: {
    state: {
      enum: ['holds', 'wrong', 'stale', 'unverifiable'],
      description: 'stale: was true once, for names or files that are gone; unverifiable: nothing in the code decides it',
    },
    why: { type: 'string', minLength: 1, maxLength: 500 },
    file: { type: 'string', description: 'the file that decides it' },
    evidence: { type: 'string', maxLength: 400, description: 'a passage of that file, letter by letter' },
  },
}

const CORRECTION = {
  type: 'object',
  required: ['text'],
  properties: { text: { type: 'string', minLength: 1, maxLength: 2000, description: 'what stands there instead of the quote' } },
}

phase('Collect')
const { pages, gaps } = await readPages()
let dropped = 0
const jobs = pages.flatMap(split)
const collected = await pipeline(jobs, collect)
for (const [i, { page, from }] of jobs.entries()) {
  if (collected[i] === null) gaps.push(`${page.file}, from line ${from}: nobody read it who can be believed`)
}
const claims = inOrder(collected.flatMap(claims => claims ?? []))
if (claims.length > most) gaps.push(`${claims.length - most} of ${claims.length} claims were not verified (most: ${most})`)

phase('Verify')
const asked = claims.slice(0, most)
const verified = await pipeline(asked, verify)
const judged = asked.map((claim, i) => verified[i] ?? { ...claim, state: 'unanswered', why: 'nobody answered' })
const having = state => judged.filter(claim => claim.state === state).map(shown)
const wrong = [...having('wrong'), ...having('stale')]
const unanswered = having('unanswered')
for (const gap of gaps) log(`not audited: ${gap}`)
log(`${pages.length} pages, ${judged.length} claims: ${wrong.length} wrong or stale, ${having('unverifiable').length} cannot be verified`)

const corrections = fix && wrong.length > 0 ? await correct(judged.filter(({ state }) => state === 'wrong' || state === 'stale')) : null

return {
  ok: wrong.length === 0 && unanswered.length === 0 && gaps.length === 0,
  pages: pages.length,
  claims: judged.length,
  holds: having('holds').length,
  wrong: having('wrong'),
  stale: having('stale'),
  unverifiable: having('unverifiable'),
  unanswered,
  dropped,
  gaps,
  corrections,
}

// ---- Pages and what they claim

async function readPages() {
  const gaps = []
  const pages = []
  for (const file of new Set((await Promise.all(docs.map(pattern => glob(pattern)))).flat())) {
    try {
      pages.push({ file, text: (await readFile(file)) ?? '' })
    } catch (error) {
      if (!['not_text', 'file_too_large', 'file_error'].includes(error.code)) throw error
      gaps.push(error.message)
    }
  }
  if (pages.length === 0) gaps.push(`no page matches ${docs.join(', ')}`)
  return { pages, gaps }
}

/** The parts of a page, cut between lines, each small enough for one reader. */
function split(page) {
  const parts = []
  let from = 1
  let lines = []
  let size = 0
  for (const line of page.text.split('\n')) {
    if (size > 0 && size + line.length > PART) {
      parts.push({ page, from, text: lines.join('\n') })
      from += lines.length
      lines = []
      size = 0
    }
    lines.push(line)
    size += line.length + 1
  }
  return [...parts, { page, from, text: lines.join('\n') }].filter(({ text }) => text.trim() !== '')
}

async function collect({ page, from, text }) {
  const answer = await agent(
    `A page of the documentation, ${page.file}${from > 1 ? ` from line ${from}` : ''}:\n\n${text}\n\n` +
      'Pick out what it claims about the code and what can be looked up there: names, options, defaults, commands, files, ' +
      'what happens when. Leave out opinions, plans and what is true of everything. Quote the words that claim it, letter by letter.',
    { label: `${page.file}:${from}`, agentType: 'explore', schema: CLAIMS },
  )
  if (answer === null) return null
  const real = answer.claims.flatMap(({ quote, claim }) => {
    const passage = lookUp(quote, text)
    if (passage === null) log(`${page.file}: dropped, for the page does not say: ${quote}`)
    return passage === null ? [] : [{ file: page.file, line: from + passage.line - 1, quote: passage.text, claim }]
  })
  dropped += answer.claims.length - real.length
  return real.length === 0 && answer.claims.length > 0 ? null : real // all made up: that was no reading
}

/** Where a text says `quote`, in whatever lines: {text, line}, or null. */
function lookUp(quote, text) {
  const words = quote.trim().split(/\s+/).map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  const found = quote.trim() === '' ? null : text.match(new RegExp(words.join('\\s+')))
  return found === null ? null : { text: found[0], line: text.slice(0, found.index).split('\n').length }
}

/** Each claim once, as the pages have them. */
function inOrder(claims) {
  const distinct = [...new Map(claims.map(claim => [`${claim.file}:${claim.line}:${claim.claim}`, claim])).values()]
  return distinct.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
}

// ---- Verifying

/** The first reader decides, unless it finds fault: then a majority of three does. */
async function verify(claim) {
  const first = await look(claim, 0)
  if (first === null) return null
  if (first.state === 'holds' || first.state === 'unverifiable') return { ...claim, ...first }
  const ballot = await vote(READERS, i => (i === 0 ? first : look(claim, i)), { key: ({ state }) => (isFault(state) ? 'fault' : 'none') })
  if (ballot.winner === null) return { ...claim, state: 'unanswered', why: `called ${first.state}, and no majority agreed or disagreed: ${first.why}` }
  // Wrong or stale is the first reader's word: all that the others had to say is whether there is a fault at all.
  if (isFault(ballot.winner.state)) return { ...claim, ...first, votes: { for: ballot.votes, of: READERS } }
  log(`${claim.file}:${claim.line}: a first reader called it ${first.state}, the others did not`)
  return { ...claim, ...ballot.winner }
}

function isFault(state) {
  return state === 'wrong' || state === 'stale'
}

/** What one reader finds. Fault counts only with evidence that is really in the file that it names. */
async function look(claim, i) {
  const answer = await agent(
    `The documentation (${claim.file}, line ${claim.line}) says:\n\n${claim.quote}\n\nThat claims: ${claim.claim}\n\n` +
      'Find the code that decides whether this is so: the code, not other pages of the documentation. Say that it is wrong or ' +
      'stale only with a passage of a file that shows it. ' +
      `${i > 0 ? `Somebody has called it wrong: do not take their word. (Reader ${i + 1} of ${READERS}.)` : ''}${hint ? `\n\n${hint}` : ''}`,
    { label: `${claim.file}:${claim.line}${i > 0 ? ` again, ${i}` : ''}`, phase: 'Verify', agentType: 'explore', schema: FOUND },
  )
  if (answer === null) return null
  const { state, why, file = null, evidence = null } = answer
  const passage = file === null || evidence === null ? null : await passageIn(file, evidence)
  if (isFault(state) && passage === null) {
    log(`${claim.file}:${claim.line}: called ${state}, and the evidence is not in ${file ?? 'any file'}`)
    return { state: 'unverifiable', why: `called ${state} without evidence that is there: ${why}` }
  }
  return { state, why, ...(passage === null ? {} : { evidence: { file, line: passage.line, text: passage.text } }) }
}

async function passageIn(file, evidence) {
  try {
    return lookUp(evidence, (await readFile(file)) ?? '')
  } catch (error) {
    if (error.code === 'not_permitted') throw error
    return null // it is outside, or no text: an agent may name any path
  }
}

function shown({ file, line, quote, claim, why, evidence = null, votes = null }) {
  return { file, line, quote, claim, why, evidence, votes }
}

// ---- Correcting

/** Proposes a text for each passage that is wrong, and writes those when a person says so. */
async function correct(faults) {
  phase('Fix')
  const texts = await pipeline(faults, propose)
  const proposed = faults.flatMap((fault, i) => (texts[i] === null ? [] : [{ file: fault.file, line: fault.line, old: fault.quote, new: texts[i] }]))
  if (proposed.length < faults.length) log(`${faults.length - proposed.length} passages have no correction: nobody proposed one`)
  const report = (written, why) => ({ proposed, written, why })
  if (proposed.length === 0) return report([], 'nobody proposed a correction')
  if (!(await isAllowed(proposed))) return report([], 'nobody said yes')
  const written = []
  for (const [file, changes] of Map.groupBy(proposed, ({ file }) => file)) written.push(...(await write(file, changes)))
  return report(written, null)
}

async function propose({ file, line, quote, claim, why, evidence }) {
  const answer = await agent(
    `${file}, line ${line}, says:\n\n${quote}\n\nThat is wrong: ${why}\n\nThe claim: ${claim}\n` +
      `What shows it, in ${evidence.file}, line ${evidence.line}:\n\n${evidence.text}\n\n` +
      'Write what should stand there instead of exactly the quoted words: as short, in the same voice, with the same markup.',
    { label: `correct ${file}:${line}`, phase: 'Fix', agentType: 'explore', schema: CORRECTION },
  )
  return answer?.text ?? null
}

async function isAllowed(proposed) {
  const lines = proposed.map(change => `${change.file}:${change.line}\n- ${change.old}\n+ ${change.new}`)
  try {
    return (await ask(`Write these corrections?\n\n${lines.join('\n\n')}`, { choices: ['no', 'write'] })) === 'write'
  } catch (error) {
    if (error.code !== 'not_permitted') throw error
    log('nothing is written: the script may ask nobody (--allow files,ask)')
    return false
  }
}

/** Puts the new passages into a file as it is now; one that no longer says the old words stays as it is. */
async function write(file, changes) {
  let text = (await readFile(file)) ?? ''
  const written = []
  for (const change of changes) {
    if (text.split(change.old).length === 2) {
      text = text.replace(change.old, () => change.new)
      written.push(change)
    } else {
      log(`${file}:${change.line}: not written, for the old words are not there exactly once`)
    }
  }
  if (written.length > 0) await writeFile(file, text)
  return written
}
