// Hunts bugs until no more are found. Finders look through different lenses, round after round, each told what is known; code
// drops what names no place that exists, and what was found before. Then each candidate is judged in three ways: one tries to
// reproduce it, one reads the code, one argues for the code. Two of three decide; a judge that is out decides nothing.

export const meta = {
  name: 'bug-hunt',
  description: 'Search code for bugs until nothing new turns up; each is reproduced, read and argued against by three judges.',
  whenToUse: 'When a code base has bugs that nobody knows of, and a list is only worth something when it holds.',
  phases: [
    { title: 'Look', detail: 'the files, and what the command says when there is one' },
    { title: 'Hunt', detail: 'finders with different lenses, until rounds bring nothing new' },
    { title: 'Judge', detail: 'each candidate: reproduce, read, argue against' },
  ],
  args: {
    type: 'object',
    required: ['files'],
    additionalProperties: false,
    properties: {
      files: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, description: 'patterns of the files to hunt in: src/**/*.py' },
      command: { type: 'string', minLength: 1, description: 'run once, at the start: tests or a linter, whose words finders and judges read' },
      lenses: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 12, description: '"name: what to look for"' },
      rounds: { type: 'integer', minimum: 1, maximum: 20, description: 'at most so many rounds (6)' },
      dry: { type: 'integer', minimum: 1, maximum: 5, description: 'rounds in a row without anything new that end the hunt (2)' },
      most: { type: 'integer', minimum: 1, maximum: 200, description: 'candidates to judge, the most severe first (60)' },
      hint: { type: 'string', minLength: 1, description: 'what the code is for, what is known, what is no bug here' },
    },
  },
  limits: { agents: 1000 },
  permissions: ['check', 'files'],
}

const { command, rounds = 6, dry = 2, most = 60, hint } = args
const lenses = args.lenses ?? [
  'edges: empty, huge, negative, missing, twice, not ASCII',
  'state: order, races, what is left when a step fails half-way',
  'contract: what a name, comment or caller promises and the code does not do',
  'resources: what is opened, held or grows and never goes',
]
const FILES = 200 // in one hunt: finders and judges open them on their own
const AROUND = 30 // lines before and after a candidate that its judges see
const SEVERITIES = ['critical', 'major', 'minor']
const JUDGES = [
  { name: 'reproduce', agentType: 'verify', how: 'Reproduce it: find the input or order of steps, and run it if you can. Real only when you saw it, or can name each step to it.' },
  { name: 'read', agentType: 'explore', how: 'Read the code with all its callers. Real only when nothing on any way to this line prevents it.' },
  { name: 'argue', agentType: 'explore', how: 'Argue for the code: why it may be meant so, why it cannot happen. Real only when your best argument fails.' },
]

phase('Look')
let dropped = 0
const heard = new Set() // lenses that somebody looked through
const { sources, gaps } = await readSources()
const names = Object.keys(sources)
const ran = command === undefined ? null : await check(command)
const said = ran === null ? '' : `\n\nThe command \`${command}\` ended with exit code ${ran.exitCode}. The end of what it said:\n\n${(ran.stdout + ran.stderr).slice(-6000)}`
if (names.length === 0) return report([], { rounds: 0, isDry: false })

const BUGS = {
  type: 'object',
  required: ['bugs'],
  properties: {
    bugs: {
      type: 'array',
      maxItems: 12,
      items: {
        type: 'object',
        required: ['title', 'file', 'line', 'why', 'severity'],
        properties: {
          title: { type: 'string', minLength: 1, maxLength: 120 },
          file: { enum: names },
          line: { type: 'integer', minimum: 1, maximum: Math.max(...Object.values(sources).map(lines => lines.length)) },
          why: { type: 'string', minLength: 1, maxLength: 800, description: 'what goes wrong, for which input or order' },
          severity: { enum: SEVERITIES },
        },
      },
    },
  },
}

const VERDICT = {
  type: 'object',
  required: ['because', 'verdict'],
  properties: {
    because: { type: 'string', minLength: 1, maxLength: 600 },
    verdict: { enum: ['real', 'not real', 'cannot tell'] },
  },
}

phase('Hunt')
const hunt = await loopUntilDry(look, { key: placeOf, rounds, dry })
for (const lens of lenses.filter(lens => !heard.has(lens))) gaps.push(`nobody who can be believed looked for ${nameOf(lens)}`)
if (!hunt.isDry) gaps.push(`the hunt was not dry after ${hunt.rounds} rounds: there may be more`)
const found = hunt.items.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
if (found.length > most) gaps.push(`${found.length - most} candidates beyond the first ${most} were not judged`)

phase('Judge')
const candidates = found.slice(0, most)
const verdicts = await pipeline(candidates, judge)
return report(candidates.map((bug, i) => verdicts[i] ?? { ...bug, state: 'undecided', judges: [] }), hunt)

// ---- Files

/** {file: lines} of the text files that the patterns match. */
async function readSources() {
  const gaps = []
  const sources = {}
  const matched = [...new Set((await Promise.all(args.files.map(pattern => glob(pattern)))).flat())]
  if (matched.length === 0) gaps.push(`no file matches ${args.files.join(', ')}`)
  if (matched.length > FILES) gaps.push(`${matched.length - FILES} of ${matched.length} files: a hunt goes through ${FILES}`)
  for (const file of matched.slice(0, FILES)) {
    try {
      sources[file] = ((await readFile(file)) ?? '').replace(/\n$/, '').split('\n')
    } catch (error) {
      if (!['not_text', 'file_too_large', 'file_error'].includes(error.code)) throw error
      gaps.push(error.message)
    }
  }
  return { sources, gaps }
}

// ---- Hunting

/** One round: what all lenses found. Null when that is nothing while somebody was out: such a round is not dry. */
async function look(round, known) {
  const answers = await parallel(lenses.map(lens => () => find(lens, round, known)))
  const silent = lenses.filter((_, i) => answers[i] === null).map(nameOf)
  if (silent.length > 0) log(`round ${round}: nobody looked for ${silent.join(', ')}`)
  const bugs = answers.flatMap(bugs => bugs ?? [])
  const isNew = bug => !known.some(other => placeOf(other) === placeOf(bug))
  return silent.length > 0 && !bugs.some(isNew) ? null : bugs
}

async function find(lens, round, known) {
  const answer = await agent(
    `Find bugs in these files; open them, and whatever they use:\n\n${names.map(file => `- ${file}`).join('\n')}${said}\n\n` +
      `Look for one kind: ${lens}. Round ${round}. ` +
      (known.length > 0 ? `These are known; find others:\n\n${known.map(bug => `- ${placeOf(bug)} ${bug.title}`).join('\n')}\n\n` : '') +
      `Give the line where it goes wrong. Only what is wrong for some input counts, no matters of taste; an empty list is a good answer.${tip()}`,
    { label: `${nameOf(lens)} ${round}`, agentType: 'explore', schema: BUGS },
  )
  if (answer === null) return null
  const real = answer.bugs.filter(({ file, line }) => line <= sources[file].length)
  for (const { file, line, title } of answer.bugs.filter(bug => !real.includes(bug))) {
    log(`dropped, for ${file} has no line ${line}: ${title}`)
    dropped += 1
  }
  if (real.length === 0 && answer.bugs.length > 0) return null // all made up: that was no search
  heard.add(lens)
  return real.map(bug => ({ lens: nameOf(lens), ...bug }))
}

/** By it two findings are the same: a line has one bug at a time, in whatever words. */
function placeOf({ file, line }) {
  return `${file}:${line}`
}

// ---- Judging

async function judge(bug) {
  const from = Math.max(0, bug.line - 1 - AROUND)
  const lines = sources[bug.file].slice(from, bug.line + AROUND).map((text, i) => `${String(from + i + 1).padStart(5)}  ${text}`)
  const ballot = await vote(
    JUDGES.length,
    i =>
      agent(
        `Is this a bug? Somebody claims about ${placeOf(bug)}:\n\n${bug.title}\n${bug.why}\n\n${lines.join('\n')}${said}\n\n` +
          `${JUDGES[i].how} Say "cannot tell" rather than guess.${tip()}`,
        { label: `${JUDGES[i].name} ${placeOf(bug)}`, phase: 'Judge', agentType: JUDGES[i].agentType, schema: VERDICT },
      ),
    { key: ({ verdict }) => verdict },
  )
  const state = { real: 'confirmed', 'not real': 'refuted' }[ballot.winner?.verdict] ?? 'undecided'
  const judges = JUDGES.map(({ name }, i) => ({ judge: name, verdict: ballot.answers[i]?.verdict ?? 'no answer', because: ballot.answers[i]?.because ?? null }))
  return { ...bug, state, judges }
}

// ---- The report

function report(judged, { rounds, isDry }) {
  const having = state => judged.filter(bug => bug.state === state)
  const [confirmed, refuted, undecided] = ['confirmed', 'refuted', 'undecided'].map(having)
  for (const gap of gaps) log(`not hunted: ${gap}`)
  log(`${rounds} rounds: ${confirmed.length} confirmed, ${refuted.length} refuted, ${undecided.length} undecided, ${dropped} dropped`)
  const ranCommand = ran === null ? null : { ok: ran.ok, exitCode: ran.exitCode }
  return { complete: isDry && gaps.length === 0 && undecided.length === 0, confirmed, refuted, undecided, dropped, rounds, isDry, gaps, command: ranCommand }
}

function nameOf(lens) {
  return lens.split(':')[0]
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}
