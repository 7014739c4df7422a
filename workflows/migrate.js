// Makes the same change in many places. Code finds the places where a pattern can; each is changed in a worktree of its own
// and has to pass the user's command there; git merges one after another, and what conflicts is done again on the merged
// state. The command has the last word, at the start as at the end, and what was not migrated is told with its reason.

export const meta = {
  name: 'migrate',
  description: 'Make one change at many sites: each in a worktree, verified by a command, merged one after another.',
  whenToUse: 'For a new API, a renamed option, another library: many similar changes that a command can verify.',
  phases: [
    { title: 'Discover', detail: 'which files have to change' },
    { title: 'Transform', detail: 'each file in a worktree of its own, until the command passes there' },
    { title: 'Merge', detail: 'one after another; conflicts are done again on the merged state' },
    { title: 'Verify', detail: 'the command on everything together' },
  ],
  args: {
    type: 'object',
    required: ['task', 'command'],
    additionalProperties: false,
    properties: {
      task: { type: 'string', minLength: 1, description: 'what has to become of what: "replace moment by date-fns"' },
      command: { type: 'string', minLength: 1, description: 'passes when all is well, now and in each worktree: pytest -q' },
      files: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        minItems: 1,
        description: 'patterns of the files to migrate; without them an agent looks for the files',
      },
      containing: { type: 'string', minLength: 1, description: 'only files that contain this text' },
      timeoutMinutes: { type: 'number', exclusiveMinimum: 0, maximum: 600, description: 'for one run of the command' },
      attempts: { type: 'integer', minimum: 1, maximum: 5, description: 'at each file, when the command fails' },
      most: { type: 'integer', minimum: 1, maximum: 500, description: 'files in this run; the others are told as waiting' },
      hint: { type: 'string', minLength: 1, description: 'an example of the change, or what to mind' },
    },
  },
  limits: { agents: 1000 },
  permissions: ['check', 'files'],
}

const { task, command, timeoutMinutes = 20, attempts = 2, most = 100, hint } = args
const SHOWN = 8_000 // characters of a command's output that are shown: the end, where tools sum up

const SITES = {
  type: 'object',
  required: ['files'],
  properties: {
    files: { type: 'array', maxItems: 500, items: { type: 'string', minLength: 1 }, description: 'relative to the root of the project' },
  },
}

const DONE = {
  type: 'object',
  required: ['outcome', 'what'],
  properties: {
    outcome: { enum: ['changed', 'nothing to do', 'cannot be done'] },
    what: { type: 'string', maxLength: 400, description: 'what was changed, why there is nothing to do, or what stands in the way' },
  },
}

phase('Discover')
const before = await verify()
if (!before.ok) {
  log('nothing is changed: the command has to pass before, or it says nothing about what comes after')
  return told({ why: 'the command fails before anything was changed', final: before })
}
const folder = await folderInRepository()
const all = await discover()
if (all === null) return told({ why: 'nobody found the files to migrate', final: before })
const files = all.slice(0, most)
const waiting = all.slice(most)
if (waiting.length > 0) log(`${waiting.length} of ${all.length} files wait for another run (most: ${most})`)

// Each file goes its own way; only merging takes turns.
const changes = await pipeline(files, file => transform(file))

phase('Merge')
const migrated = []
const nothingToDo = []
const failed = []
for (const [i, change] of changes.entries()) await bring(files[i], change ?? { problem: 'the agent failed', worktree: null })

phase('Verify')
const final = migrated.length > 0 ? await verify() : before
if (!final.ok) log('each change passed on its own, and together they fail: see `final`')
return told({ why: final.ok ? null : 'the command fails on everything together', final, sites: all.length, migrated, nothingToDo, failed, waiting })

/** The result, of whatever became known. Only a run that left nothing open is ok. */
function told({ why, final, sites = 0, migrated = [], nothingToDo = [], failed = [], waiting = [] }) {
  const ok = why === null && failed.length === 0 && waiting.length === 0
  log(`${ok ? 'done' : 'not done'}: ${migrated.length} migrated, ${nothingToDo.length} had nothing to do, ${failed.length} failed, ${waiting.length} wait`)
  return { ok, why, sites, migrated, nothingToDo, failed, waiting, final }
}

// ---- The command

/** Runs the command in the project, or in a worktree. */
async function verify(worktree = null) {
  const there = worktree === null ? '' : `cd ${quoted(`${worktree.path}/${folder}`)} || exit\n`
  const { ok, exitCode, stdout, stderr } = await check(there + command, { timeoutMinutes })
  return { ok, exitCode, output: ok ? null : `${stdout}\n${stderr}`.trim().slice(-SHOWN) }
}

/** Where the project is in its repository: worktrees are of all of it. */
async function folderInRepository() {
  const { ok, stdout, stderr } = await check('git rev-parse --show-prefix')
  if (!ok) throw new Error(`migrate needs a git repository: ${stderr.trim()}`)
  return stdout.trim()
}

function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`
}

// ---- Which files

/** Files that are there, each once, sorted; null when nobody could say which. */
async function discover() {
  const named = args.files ? (await Promise.all(args.files.map(pattern => glob(pattern)))).flat() : await search()
  if (named === null) return null
  const found = []
  for (const file of [...new Set(named)].sort()) {
    if (args.containing === undefined || (await textOf(file)).includes(args.containing)) found.push(file)
  }
  log(`${found.length} files to migrate`)
  return found
}

async function search() {
  const answer = await agent(
    `A change is to be made everywhere in this project:\n\n${task}\n\nFind all files that have to change for it. Search, do not guess.${tip()}`,
    { label: 'find the files', agentType: 'explore', schema: SITES },
  )
  if (answer === null) return null
  const real = []
  for (const file of answer.files) {
    if ((await textOf(file)) !== null) real.push(file)
    else log(`dropped, for there is no such file: ${file}`)
  }
  return real
}

/** What a file holds, '' when it is no text, null when it is not there. */
async function textOf(file) {
  try {
    return await readFile(file)
  } catch (error) {
    if (error.code === 'not_permitted') throw error
    return error.code === 'not_text' || error.code === 'file_too_large' ? '' : null // null: outside, or a folder
  }
}

// ---- Changing

/** A change of one file that passes the command, as {value, worktree, problem: null}; else `problem` says why there is none. */
async function transform(file, why = '') {
  let change
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    change = await once(file, attempt, why)
    if (change.problem === null || change.value?.outcome === 'cannot be done') break
    log(`${file}, attempt ${attempt} of ${attempts}: ${change.problem.split('\n')[0]}`)
    why = `\n\nAn earlier attempt at this was not good enough: ${change.problem}`
  }
  return change
}

async function once(file, attempt, why) {
  const done = await agent(
    `${task}\n\nDo this in ${file}, and nowhere else but where it cannot work without. Others change the other files at the ` +
      `same time. \`${command}\` has to pass when you are done.${why}${tip()}`,
    { label: `${file}${attempt > 1 ? `, attempt ${attempt}` : ''}`, phase: 'Transform', schema: DONE, isolation: 'worktree', full: true },
  )
  const { value, worktree, reason } = done
  const as = problem => ({ problem, value, worktree })
  if (value === null) return as(`the agent gave no answer (${reason})`)
  if (value.outcome === 'cannot be done') return as(value.what)
  if (value.outcome === 'nothing to do') return as(worktree ? 'the agent says that there is nothing to do, and changed something' : null)
  if (!worktree) return as('the agent says that it is changed, and changed nothing')
  const { ok, exitCode, output } = await verify(worktree)
  return as(ok ? null : `\`${command}\` fails (exit code ${exitCode ?? 'none: out of time'}):\n\n${output}`)
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}

// ---- Merging

/** Brings a change into the project. What conflicts with what came before it is done again, once, on the merged state. */
async function bring(file, change) {
  const miss = why => {
    log(`${file}: ${why}`)
    failed.push({ file, why, branch: change.worktree?.branch ?? null })
  }
  const merge = () => mergeWorktree(change.worktree, { message: `Migrate ${file}` })
  if (change.problem !== null) return miss(change.problem)
  try {
    let result = await merge()
    if (!result.ok) {
      const conflicts = result.conflicts.join(', ')
      log(`${file}: conflicts in ${conflicts}; done again on the merged state`)
      change = await again(file, change.worktree, conflicts)
      if (change.problem !== null) return miss(`conflicts in ${conflicts}, and when it was done again: ${change.problem}`)
      result = await merge()
      if (!result.ok) return miss(`conflicts in ${result.conflicts.join(', ')}, also when it was done again`)
    }
    const { outcome, what } = change.value
    if (outcome === 'nothing to do') nothingToDo.push({ file, why: what })
    else migrated.push({ file, what, files: result.files })
  } catch (error) {
    if (error.code !== 'changes_in_the_way') throw error
    miss(error.message) // the user's own changes come first; the branch is kept
  }
}

async function again(file, worktree, conflicts) {
  const diff = await check(`git diff ${worktree.base} ${worktree.branch}`)
  return transform(
    file,
    `\n\nIt was done before, and others have changed the same places since (${conflicts}). This is what was done:\n\n` +
      `${diff.stdout.slice(0, SHOWN)}\n\nDo it again on the files as they are now, and keep what the others did.`,
  )
}
