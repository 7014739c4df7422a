// Reviews what has changed, or whole files. Code reads the diff, numbers its lines and shares it out; each reviewer looks at
// one part for one kind of problem. A finding has to name a line that was shown to its reviewer, and then to survive sceptics
// who are asked to refute it. What nobody looked at is told as such: silence is never a clean bill.

export const meta = {
  name: 'code-review',
  description: 'Review a diff or files along several dimensions; findings are checked by code, then by three sceptics each.',
  whenToUse: 'Before a merge, when a finding should be worth reading: with the place, and with the doubts it survived.',
  phases: [
    { title: 'Read', detail: 'the diff or the files, by code' },
    { title: 'Find', detail: 'one reviewer for each dimension and part' },
    { title: 'Verify', detail: 'sceptics try to refute each finding' },
  ],
  args: {
    type: 'object',
    additionalProperties: false,
    properties: {
      base: {
        type: 'string',
        pattern: '^[^-\\s]\\S*$',
        description: 'a git ref: what has changed since it branched off, committed or not. Default: HEAD, when there are no paths',
      },
      paths: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        minItems: 1,
        description: 'patterns, src/**/*.py: whole files to review; with base, the part of the diff',
      },
      dimensions: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 16, description: '"name: what to look for"' },
      sceptics: { type: 'integer', minimum: 1, maximum: 9, description: 'for each finding; a majority of them decides' },
      most: { type: 'integer', minimum: 1, maximum: 200, description: 'findings to verify, the most severe first' },
      blocking: { enum: ['critical', 'major', 'minor'], description: 'the least severity that stands in the way of a merge' },
      hint: { type: 'string', minLength: 1, description: 'what reviewers should know about this code' },
    },
  },
  limits: { agents: 800 },
  permissions: ['check', 'files'],
}

const { base, paths, sceptics = 3, most = 40, blocking = 'major', hint } = args ?? {}
const dimensions = args?.dimensions ?? [
  'correctness: wrong results, cases that are not handled, races',
  'security: what an attacker could reach, read or break',
  'failure: what is left behind when a step fails half-way',
  'tests: behaviour that is new and that no test would miss',
]
const PART = 40_000 // characters that one reviewer reads
const LONG = 2_000 // characters of a line
const AROUND = 40 // lines before and after a finding that its sceptics read
const RANK = { critical: 0, major: 1, minor: 2 }

const FINDINGS = {
  type: 'object',
  required: ['findings'],
  properties: {
    findings: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        required: ['title', 'file', 'line', 'why', 'severity'],
        properties: {
          title: { type: 'string', minLength: 1, maxLength: 120 },
          file: { type: 'string', minLength: 1, description: 'as it stands above the lines' },
          line: { type: 'integer', minimum: 1, description: 'the number in front of the line' },
          why: { type: 'string', minLength: 1, maxLength: 800, description: 'what goes wrong, and for which input' },
          severity: { enum: ['critical', 'major', 'minor'] },
          suggestion: { type: 'string', maxLength: 800, description: 'what to write instead' },
        },
      },
    },
  },
}

const VERDICT = {
  type: 'object',
  required: ['refuted', 'because'],
  properties: {
    refuted: { type: 'boolean', description: 'true when the claim does not hold, or nothing shows that it does' },
    because: { type: 'string', maxLength: 400 },
  },
}

const ANGLES = [
  'Go through it step by step with a concrete input.',
  'Look for what already prevents it: in callers, types, earlier checks.',
  'Ask whether it was there before, and whether it matters to anyone.',
]

phase('Read')
const isDiff = base !== undefined || paths === undefined
const { files, gaps } = isDiff ? await readDiff() : await readFiles()
const parts = share(files)
log(`${files.flatMap(({ lines }) => lines).length} lines of ${files.length} files, shared out to ${parts.length} for each dimension`)

phase('Find')
let dropped = 0
const jobs = dimensions.flatMap(dimension => parts.map(part => ({ dimension, part })))
const found = await pipeline(jobs, find)
for (const [i, { dimension, part }] of jobs.entries()) {
  if (found[i] === null) gaps.push(`${nameOf(dimension)} has no review that can be believed of ${part.map(piece => piece.file).join(', ')}`)
}

// All have to be there before the first is verified: what two reviewers found is verified once, the most severe come first.
const distinct = ranked(found.flatMap(findings => findings ?? []))
if (distinct.length > most) gaps.push(`${distinct.length - most} findings beyond the first ${most} were not verified`)

phase('Verify')
const candidates = distinct.slice(0, most)
const verified = await pipeline(candidates, verify)
// Where even the vote went wrong, the finding stays, as one that nobody could decide.
const judged = candidates.map((finding, i) => verified[i] ?? { ...finding, state: 'undecided', votes: { for: 0, against: 0, missing: sceptics } })

const findings = judged.filter(finding => finding.state === 'confirmed')
const undecided = judged.filter(finding => finding.state === 'undecided')
const refuted = judged.length - findings.length - undecided.length
const isBlocking = finding => RANK[finding.severity] <= RANK[blocking]
const blockers = findings.filter(isBlocking).length
for (const gap of gaps) log(`not reviewed: ${gap}`)

const verdict =
  blockers > 0 ? 'blocking'
  : gaps.length > 0 || undecided.some(isBlocking) ? 'incomplete'
  : files.length === 0 ? 'nothing to review'
  : 'clear'
log(`${verdict}: ${findings.length} confirmed (${blockers} blocking), ${undecided.length} undecided, ${refuted} refuted`)

return { verdict, blocking: blockers, findings, undecided, refuted, dropped, gaps, files: files.map(({ file }) => file) }

// ---- Reading: a file is {file, lines}, a line {number, text}; the number is the one in the file as it is now.

async function readDiff() {
  const only = (paths ?? []).map(path => ` ${quoted(`:(glob)${path}`)}`).join('')
  const names = '--relative --no-color --no-ext-diff --src-prefix=a/ --dst-prefix=b/'
  const diff = await git(`diff --merge-base --unified=8 ${names} ${quoted(base ?? 'HEAD')} --${only}`)
  const untracked = await git(`ls-files --others --exclude-standard --${only}`)
  const unknown = untracked.text.split('\n').filter(Boolean)
  const gaps = unknown.length > 0 ? [`files that git does not know yet: ${listed(unknown)}`] : []
  const unmerged = diff.text.match(/^\* Unmerged path .*$/gm) ?? []
  if (unmerged.length > 0) gaps.push(`in the middle of a merge: ${listed(unmerged.map(line => line.slice('* Unmerged path '.length)))}`)
  if (diff.isCut) gaps.push('what comes after the first MiB of the diff')
  return { files: parseDiff(diff.text), gaps }
}

async function readFiles() {
  const files = []
  const gaps = []
  for (const file of new Set((await Promise.all(paths.map(path => glob(path)))).flat())) {
    try {
      const text = (await readFile(file)) ?? ''
      files.push({ file, lines: text.replace(/\n$/, '').split('\n').map((line, i) => ({ number: i + 1, text: `  ${line}` })) })
    } catch (error) {
      if (!['not_text', 'file_too_large', 'file_error'].includes(error.code)) throw error
      gaps.push(error.message)
    }
  }
  if (files.length === 0) gaps.push(`no file matches ${paths.join(', ')}`)
  return { files, gaps }
}

async function git(command) {
  const done = await check(`git -c core.quotePath=false -c diff.suppressBlankEmpty=false ${command}`)
  if (!done.ok) throw new Error(`git says: ${done.stderr.trim()}`)
  const cut = done.stdout.match(/\n\[cut: [\d,]+ of [\d,]+ bytes\]\n$/)
  return { text: cut === null ? done.stdout : done.stdout.slice(0, cut.index), isCut: cut !== null }
}

/** The files of a unified diff. A line that was taken away has the number of the line that now stands in its place. */
function parseDiff(text) {
  const files = new Map()
  let name = ''
  let number = 0
  let left = 0 // lines of the hunk that are still to come: only outside of hunks a line is a heading
  for (const line of text.split('\n')) {
    const hunk = left > 0 ? null : line.match(/^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/)
    if (hunk !== null) {
      number = Math.max(1, Number(hunk[2]))
      left = Number(hunk[1] ?? 1) + Number(hunk[3] ?? 1)
      if (!files.has(name)) files.set(name, [])
    } else if (left > 0 && /^[-+ ]/.test(line)) {
      files.get(name).push({ number, text: `${line[0]} ${line.slice(1)}` })
      left -= line[0] === ' ' ? 2 : 1
      if (line[0] !== '-') number += 1
    } else if (left <= 0 && /^(--- a|\+\+\+ b)\//.test(line)) {
      name = line.slice('--- a/'.length).replace(/\t$/, '')
    } else if (line.startsWith('Binary files ')) {
      log(`nothing to read: ${line}`)
    }
  }
  return [...files].map(([file, lines]) => ({ file, lines }))
}

/** Parts of about PART characters, in order; a file that does not fit into one goes on in the next. */
function share(files) {
  const all = files.flatMap(({ file, lines }) => lines.map(({ number, text }) => ({ file, number, text: text.slice(0, LONG) })))
  const long = files.flatMap(({ lines }) => lines).filter(({ text }) => text.length > LONG).length
  if (long > 0) log(`${long} lines are cut after ${LONG} characters`)
  let size = 0
  const parts = Map.groupBy(all, ({ text }) => Math.floor((size += text.length + 8) / PART))
  return [...parts.values()].map(lines => [...Map.groupBy(lines, ({ file }) => file)].map(([file, lines]) => ({ file, lines })))
}

function shown({ file, lines }) {
  return `${file}\n${lines.map(({ number, text }) => `${String(number).padStart(5)} ${text}`).join('\n')}`
}

// ---- Finding

async function find({ dimension, part }) {
  const answer = await agent(
    `Review ${isDiff ? 'this change (+ is new, - was taken away)' : 'this code'}:\n\n${part.map(shown).join('\n\n')}\n\n` +
      `Only one thing counts: ${dimension}. ${isDiff ? 'Only what the change brings or breaks counts, not what was wrong before. ' : ''}` +
      `Report what is really wrong, the most severe first; an empty list is a good answer.${hint ? `\n\n${hint}` : ''}`,
    { label: `${nameOf(dimension)}: ${part[0].file}${part.length > 1 ? ` and ${part.length - 1} more` : ''}`, agentType: 'explore', schema: FINDINGS },
  )
  if (answer === null) return null
  const real = answer.findings.filter(({ file, line }) => part.some(piece => piece.file === file && piece.lines.some(({ number }) => number === line)))
  for (const made of answer.findings.filter(finding => !real.includes(finding))) {
    dropped += 1
    log(`dropped, for ${made.file}:${made.line} was not shown to ${nameOf(dimension)}: ${made.title}`)
  }
  if (real.length === 0 && answer.findings.length > 0) return null // all made up: that was no review
  return real.map(finding => ({ dimension: nameOf(dimension), ...finding }))
}

/** Each finding once, the most severe first, then by place. */
function ranked(findings) {
  const bySeverity = findings.toSorted((a, b) => RANK[a.severity] - RANK[b.severity] || order(a.file, b.file) || a.line - b.line)
  const keys = new Set()
  const distinct = bySeverity.filter(({ file, line, title }) => {
    const key = `${file}:${line}:${title.toLowerCase().replace(/\W+/g, ' ').trim()}`
    return !keys.has(key) && keys.add(key)
  })
  if (distinct.length < findings.length) log(`dropped, for another reviewer found the same: ${findings.length - distinct.length}`)
  return distinct
}

// ---- Verifying

async function verify(finding) {
  const lines = files.find(({ file }) => file === finding.file)?.lines ?? []
  const at = lines.findIndex(({ number }) => number === finding.line)
  const around = { file: finding.file, lines: lines.slice(Math.max(0, at - AROUND), at + AROUND) }
  const ballot = await vote(
    sceptics,
    i =>
      agent(
        `A reviewer claims about ${finding.file}, line ${finding.line}:\n\n${finding.title}\n${finding.why}\n\n${shown(around)}\n\n` +
          `Refute the claim. ${ANGLES[i % ANGLES.length]} Say that it is refuted unless you are sure that it holds. ` +
          `(Sceptic ${i + 1} of ${sceptics}.)`,
        { label: `doubt ${finding.file}:${finding.line}`, phase: 'Verify', agentType: 'explore', schema: VERDICT },
      ),
    { key: ({ refuted }) => String(refuted) },
  )
  const against = ballot.answers.filter(answer => answer?.refuted).length
  // A sceptic without an answer has not confirmed anything: a majority of all who were asked decides.
  const state = ballot.winner === null ? 'undecided' : ballot.winner.refuted ? 'refuted' : 'confirmed'
  const votes = { for: sceptics - ballot.missing - against, against, missing: ballot.missing }
  return { ...finding, state, votes }
}

// ---- Words

function nameOf(dimension) {
  return dimension.split(':')[0]
}

function order(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}

function listed(names) {
  return names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ')
}

function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`
}
