// Prepares a release: the history since the last one becomes notes, the user's commands say whether it may go out, and a
// person has the last word. Commits are sorted by code where they follow the convention (feat: …, fix(api)!: …); an agent is
// asked only about the others. The one thing that is written is the entry in the changelog, after the yes. Tagging and
// pushing stay with the person.

export const meta = {
  name: 'release',
  description: 'Release notes from the history, checks, and a person who decides; then an entry in the changelog.',
  whenToUse: 'When a version is about to be released and its notes should say what users will notice.',
  phases: [
    { title: 'Collect', detail: 'the commits since the last release' },
    { title: 'Check', detail: 'your commands, one after another' },
    { title: 'Write', detail: 'what the convention does not say, and a summary' },
    { title: 'Decide', detail: 'publish, edit or stop' },
  ],
  args: {
    type: 'object',
    required: ['version'],
    additionalProperties: false,
    properties: {
      version: { type: 'string', pattern: '^[\\w.+-]+$', description: 'of the release: 1.4.0' },
      since: { type: 'string', pattern: '^[^-\\s]\\S*$', description: 'the tag or commit of the last release; default: the newest tag' },
      checks: { type: 'array', items: { type: 'string', minLength: 1 }, description: 'commands that must pass: pytest -q' },
      timeoutMinutes: { type: 'number', exclusiveMinimum: 0, maximum: 600, description: 'for each of them' },
      changelog: { type: 'string', minLength: 1, description: 'the file; default: CHANGELOG.md' },
      hint: { type: 'string', minLength: 1, description: 'who reads the notes, and what matters to them' },
    },
  },
  limits: { agents: 60 },
  permissions: ['check', 'ask', 'files'],
}

const { version, checks = [], timeoutMinutes = 20, changelog = 'CHANGELOG.md', hint } = args
const BATCH = 40 // commits that one agent sorts
const EDITS = 5 // times that the notes are changed before somebody has to write them by hand

// Kinds in the order of the notes. What only those who build it notice is counted and left out.
const TITLES = { breaking: 'Breaking', added: 'Added', changed: 'Changed', fixed: 'Fixed', security: 'Security', removed: 'Removed', other: 'Other' }
const CONVENTION = { feat: 'added', fix: 'fixed', perf: 'changed', refactor: 'internal', revert: 'changed', security: 'security' }
for (const type of ['build', 'chore', 'ci', 'docs', 'style', 'test', 'tests']) CONVENTION[type] = 'internal'

const SORTED = {
  type: 'object',
  required: ['commits'],
  properties: {
    commits: {
      type: 'array',
      maxItems: BATCH,
      items: {
        type: 'object',
        required: ['commit', 'kind', 'line'],
        properties: {
          commit: { type: 'string', description: 'as it stands in front of the message' },
          kind: { enum: ['breaking', 'added', 'changed', 'fixed', 'security', 'removed', 'internal'], description: 'internal: no user notices it' },
          line: { type: 'string', minLength: 1, maxLength: 200, description: 'what is different for a user, in one line' },
        },
      },
    },
  },
}

const SUMMARY = {
  type: 'object',
  required: ['summary'],
  properties: { summary: { type: 'string', minLength: 1, maxLength: 600, description: 'two or three sentences, no heading' } },
}

const ENTRY = {
  type: 'object',
  required: ['entry'],
  properties: { entry: { type: 'string', minLength: 1, maxLength: 40_000, description: 'the whole entry in Markdown, from its heading on' } },
}

const results = [] // of the checks
let notes = []
let internal = 0
let entry = ''

phase('Collect')
if (hasEntry(await readFile(changelog))) throw new Error(`${changelog} has an entry for ${version} already: choose another version, or take it out`)
const since = args.since ?? (await newestTag())
const commits = await history()
if (commits.length === 0) return told('nothing to release')

phase('Check')
for (const command of checks) results.push(await run(command))
if (results.some(({ ok }) => !ok)) return told('checks failed') // there is nothing to decide yet

phase('Write')
const sorted = await sort(commits)
notes = sorted.filter(({ kind }) => kind !== 'internal')
internal = sorted.length - notes.length
if (internal > 0) log(`${internal} of ${sorted.length} commits are left out: no user notices them`)
entry = written(notes, await summarize(notes))

phase('Decide')
const answer = await decide()
if (answer !== 'publish') return told('stopped')

// Read again: a person may have thought about it for days.
const before = await readFile(changelog)
if (hasEntry(before)) throw new Error(`${changelog} got an entry for ${version} while the notes were looked at: nothing is written`)
await writeFile(changelog, insert(before))
log(`${changelog} has the entry; committing, tagging and pushing are yours`)
return told('published')

/** The result. `published` means that the entry is in the changelog, and nothing more. */
function told(status) {
  const published = status === 'published'
  if (!published) log(`not released: ${status}`)
  return {
    status,
    published,
    version,
    since,
    commits: commits.length,
    notes,
    internal,
    checks: results,
    entry: entry || null,
  }
}

// ---- History

/** The newest tag that this commit has behind it, or null. */
async function newestTag() {
  const { ok, stdout } = await check('git describe --tags --abbrev=0')
  if (!ok) log('there is no tag yet: the notes are about the whole history')
  return ok ? stdout.trim() : null
}

/** Commits since the last release, the newest first: {commit, subject, body}. */
async function history() {
  const range = since === null ? 'HEAD' : `'${since.replaceAll("'", "'\\''")}'..HEAD`
  const done = await check(`git log --no-merges --format='%x1e%h%x1f%s%x1f%b' ${range} --`)
  if (!done.ok) throw new Error(`the history since ${since} cannot be read: ${done.stderr.trim()}`)
  const records = done.stdout.split('\x1e').slice(1)
  if (/\n\[cut: [\d,]+ of [\d,]+ bytes\]\n$/.test(done.stdout)) {
    records.pop() // half a commit
    log(`the history is longer than a MiB: only the newest ${records.length} commits are in the notes`)
  }
  log(`${records.length} commits since ${since ?? 'the beginning'}`)
  return records.map(record => {
    const [commit, subject, body = ''] = record.split('\x1f')
    return { commit, subject, body: body.trim() }
  })
}

async function run(command) {
  const { ok, exitCode, stdout, stderr } = await check(command, { timeoutMinutes })
  log(`${ok ? 'passed' : `failed (exit code ${exitCode ?? 'none: out of time'})`}: ${command}`)
  return { command, ok, exitCode, output: ok ? null : `${stdout}\n${stderr}`.trim().slice(-4_000) }
}

// ---- Notes

/** Each commit with the kind of note that it is, in the order of the history. */
async function sort(commits) {
  const byConvention = new Map(commits.map(one => [one.commit, conventional(one)]))
  const rest = commits.filter(({ commit }) => byConvention.get(commit) === null)
  const batches = []
  for (let i = 0; i < rest.length; i += BATCH) batches.push(rest.slice(i, i + BATCH))
  const answers = await pipeline(batches, classify)
  const byAgent = new Map(answers.flatMap(answer => answer ?? []).map(one => [one.commit, one]))
  const unsorted = rest.filter(({ commit }) => !byAgent.has(commit))
  if (unsorted.length > 0) log(`${unsorted.length} commits stand under "Other" as they are: nobody sorted them`)
  return commits.map(({ commit, subject }) => byConvention.get(commit) ?? byAgent.get(commit) ?? { commit, kind: 'other', line: subject })
}

/** What a subject like `fix(api)!: say why` says, or null when it is not of that form. */
function conventional({ commit, subject, body }) {
  const parts = subject.match(/^([a-z]+)(?:\(([^)]+)\))?(!?): +(.+)$/i)
  const kind = parts === null ? undefined : CONVENTION[parts[1].toLowerCase()]
  if (kind === undefined) return null
  const isBreaking = parts[3] === '!' || /^BREAKING[ -]CHANGE: /m.test(body)
  return { commit, kind: isBreaking ? 'breaking' : kind, line: parts[2] ? `${parts[2]}: ${parts[4]}` : parts[4] }
}

async function classify(batch) {
  const answer = await agent(
    `Commits of a project:\n\n${batch.map(({ commit, subject, body }) => `${commit} ${subject}\n${body.slice(0, 600)}`).join('\n\n')}\n\n` +
      `For each, say what kind of change it is to someone who uses the project, and write its line in the release notes.${tip()}`,
    { label: `sort ${batch.length} commits`, schema: SORTED },
  )
  if (answer === null) return null
  const real = answer.commits.filter(one => batch.some(({ commit }) => commit === one.commit))
  if (real.length < answer.commits.length) log(`dropped ${answer.commits.length - real.length} lines about commits that were not asked about`)
  return real.map(({ commit, kind, line }) => ({ commit, kind, line: oneLine(line) }))
}

async function summarize(notes) {
  if (notes.length === 0) return null
  const answer = await agent(
    `Release notes of version ${version}:\n\n${grouped(notes)}\n\nSum them up for someone who decides whether to upgrade. Add nothing.${tip()}`,
    { label: 'summary', schema: SUMMARY },
  )
  if (answer === null) log('the notes have no summary: nobody wrote one')
  return answer === null ? null : oneLine(answer.summary)
}

function written(notes, summary) {
  const date = new Date().toISOString().slice(0, 10)
  return [`## [${version}] - ${date}`, summary, notes.length > 0 ? grouped(notes) : 'Nothing that a user would notice.'].filter(Boolean).join('\n\n')
}

function grouped(notes) {
  return Object.entries(TITLES)
    .map(([kind, title]) => [title, notes.filter(note => note.kind === kind)])
    .filter(([, notes]) => notes.length > 0)
    .map(([title, notes]) => `### ${title}\n\n${notes.map(({ line, commit }) => `- ${line} (${commit})`).join('\n')}`)
    .join('\n\n')
}

/** Text of an agent, made harmless for the structure of a changelog. */
function oneLine(text) {
  return text.replace(/\s+/g, ' ').trim().replace(/^[#>*+-]+ */, '')
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}

// ---- The person

/** 'publish', 'stop', or null when the time for an answer was up. */
async function decide() {
  for (let edits = 0; edits <= EDITS; edits += 1) {
    const passed = checks.length > 0 ? `${checks.length} checks passed` : 'no checks were asked for'
    const choices = edits < EDITS ? ['stop', 'edit', 'publish'] : ['stop', 'publish']
    const answer = await ask(`Put this into ${changelog}? (${passed})\n\n${entry}`, { choices })
    if (answer !== 'edit') return answer
    await edit()
  }
  return 'stop' // not reached: the last question does not offer `edit`
}

/** Changes the entry by what a person says: the new entry itself, from `## ` on, or what should be different. */
async function edit() {
  const wish = await ask(`What should be different? In words, or the whole entry from "## [${version}]" on.`)
  if (typeof wish !== 'string' || wish.trim() === '') return log('nothing is different')
  if (wish.startsWith('## ')) return void (entry = wish.trim())
  const answer = await agent(`An entry of a changelog:\n\n${entry}\n\nChange it, and nothing else than what is wished for:\n\n${wish}`, {
    label: 'edit the notes',
    schema: ENTRY,
  })
  if (answer === null) return log('the notes are as they were: nobody changed them')
  if (!answer.entry.startsWith('## ')) return log('the notes are as they were: the answer is not an entry')
  entry = answer.entry.trim()
}

// ---- The changelog

function hasEntry(text) {
  return headings(text ?? '').some(({ line }) => line.replace(/^## +\[?v?/, '').split(/[\] ]/)[0] === version.replace(/^v/, ''))
}

/** The changelog with the entry above that of the release before, below what is unreleased. */
function insert(text) {
  if (text === null || text.trim() === '') return `# Changelog\n\n${entry}\n`
  const next = headings(text).find(({ line }) => !/unreleased/i.test(line))
  if (next === undefined) return `${text.trimEnd()}\n\n${entry}\n`
  return `${text.slice(0, next.index).trimEnd()}\n\n${entry}\n\n${text.slice(next.index)}`
}

function headings(text) {
  return [...text.matchAll(/^## .*$/gm)].map(({ 0: line, index }) => ({ line, index }))
}
