// Makes the same change in many places. Code finds the places where a pattern can; each is changed in a worktree of its own,
// by an agent that may not stop before the user's command passes there; git merges one after another, and what conflicts is
// done again on the merged state. The command has the first word and the last, and what was not migrated is told with its
// reason.

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
      timeoutMinutes: { type: 'number', exclusiveMinimum: 0, maximum: 600, description: 'for the first and the last run; others have agents.check_minutes' },
      most: { type: 'integer', minimum: 1, maximum: 500, description: 'files in this run; the others are told as waiting' },
      hint: { type: 'string', minLength: 1, description: 'an example of the change, or what to mind' },
    },
  },
  limits: { agents: 1000 },
  permissions: ['check', 'files'],
}

const { task, command, timeoutMinutes = 20, most = 100, hint } = args
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
const all = await discover()
if (all === null) return told({ why: 'nobody found the files to migrate', final: before })
if (all.length === 0) return told({ why: 'there is no such file', final: before }) // a pattern that is wrong must not look done
const files = all.slice(0, most)
const waiting = all.slice(most)
if (waiting.length > 0) log(`${waiting.length} of ${all.length} files wait for another run (most: ${most})`)

// Each file goes its own way; only merging takes turns.
const changes = await pipeline(files, file => transform(file))

phase('Merge')
const migrated = []
const nothingToDo = []
const failed = []
for (const [i, change] of changes.entries()) await bring(files[i], change ?? { value: null, worktree: null, problem: 'the agent failed' })

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

/** Runs the command in the project. */
async function verify() {
  const { ok, exitCode, stdout, stderr } = await check(command, { timeoutMinutes })
  return { ok, exitCode, output: ok ? null : `${stdout}\n${stderr}`.trim().slice(-SHOWN) }
}

// ---- Which files

/** Files that are there, each once, sorted; null when nobody could say which. */
async function discover() {
  const named = args.files ? (await Promise.all(args.files.map(pattern => glob(pattern)))).flat() : await search()
  if (named === null) return null
  const found = []
  for (const file of [...new Set(named)].sort()) {
    if (args.containing === undefined || ((await textOf(file)) ?? '').includes(args.containing)) found.push(file)
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

/** A change of one file with which the command passes: {value, worktree, problem: null}; else `problem` says why not. */
async function transform(file, why = '') {
  try {
    const { value, worktree, reason } = await agent(
      `${task}\n\nDo this in ${file}, and nowhere else but where it cannot work without. Others change the other files at the ` +
        `same time. \`${command}\` has to pass when you are done.${why}${tip()}`,
      { label: file, phase: 'Transform', schema: DONE, isolation: 'worktree', check: command, full: true },
    )
    return { value, worktree, problem: value === null ? `the agent gave no answer (${reason})` : doubt(value, worktree) }
  } catch (error) {
    // Also a cap that is reached ends no more than this file: what was merged before has to be told.
    const kept = error.code === 'goal_not_met' ? ' (`pawl show` names the branch)' : ''
    return { value: null, worktree: null, problem: error.message + kept }
  }
}

/** Why what an agent says of its change cannot be, or null. */
function doubt({ outcome, what }, worktree) {
  if (outcome === 'cannot be done') return what
  if (outcome === 'nothing to do') return worktree ? 'the agent says that there is nothing to do, and changed something' : null
  return worktree ? null : 'the agent says that it is changed, and changed nothing'
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
