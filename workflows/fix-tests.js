// Makes a test suite pass. The tests say what is broken and whether it is fixed; agents only do what takes judgement: they
// tell which failures belong together, and they change code, each in a worktree of its own. Git merges, one fix after
// another. Nothing is believed because an agent says so: what counts is the next run of the tests.

export const meta = {
  name: 'fix-tests',
  description: 'Run the tests, fix independent failures at the same time in worktrees, merge, run the tests again.',
  whenToUse: 'When a test command fails for several reasons that have little to do with each other.',
  phases: [
    { title: 'Test', detail: 'run the command' },
    { title: 'Split', detail: 'which failures have one cause' },
    { title: 'Fix', detail: 'each cause in a worktree of its own' },
    { title: 'Merge', detail: 'one fix after another; conflicts are done again on the merged state' },
    { title: 'Verify', detail: 'run the command again' },
  ],
  args: {
    type: 'object',
    required: ['command'],
    additionalProperties: false,
    properties: {
      command: { type: 'string', minLength: 1, description: 'runs the tests: pytest -q' },
      only: {
        type: 'string',
        pattern: '\\{tests\\}',
        description: 'runs some of the tests, with their names for {tests}: pytest -q {tests}; an agent goes on until its own pass',
      },
      timeoutMinutes: { type: 'number', exclusiveMinimum: 0, maximum: 600, description: 'for one run of the command' },
      rounds: { type: 'integer', minimum: 1, maximum: 10, description: 'of fixing and testing' },
      most: { type: 'integer', minimum: 1, maximum: 32, description: 'causes to fix in one round; the others wait' },
      hint: { type: 'string', minLength: 1, description: 'what whoever fixes should know about this code' },
    },
  },
  limits: { agents: 300 },
  permissions: ['check', 'files'],
}

const { command, only, timeoutMinutes = 20, rounds = 3, most = 8, hint } = args
const SHOWN = 16_000 // characters of the output that a prompt holds: the end, where test runners sum up

const CAUSES = {
  type: 'object',
  required: ['causes'],
  properties: {
    causes: {
      type: 'array',
      maxItems: 32,
      items: {
        type: 'object',
        required: ['title', 'tests', 'why'],
        properties: {
          title: { type: 'string', minLength: 1, maxLength: 100, description: 'what is wrong, in a line' },
          tests: { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 }, description: 'as the output names them' },
          why: { type: 'string', maxLength: 800, description: 'what the output says about it' },
        },
      },
    },
  },
}

const DONE = {
  type: 'object',
  required: ['fixed', 'what'],
  properties: {
    fixed: { type: 'boolean', description: 'false when it cannot be fixed without changing what is tested' },
    what: { type: 'string', maxLength: 400, description: 'what was changed, or what stands in the way' },
  },
}

phase('Test')
let tests = await run()
const merged = []
const missed = []
let round = 0

while (!tests.ok && round < rounds) {
  round += 1
  const causes = await split()
  if (causes.length === 0) break

  const fixes = await pipeline(causes, fix)

  phase('Merge')
  let before = merged.length
  for (const [i, done] of fixes.entries()) await bring(causes[i], done)
  if (merged.length === before) break // nothing is different: the next round would ask the same again

  phase('Verify')
  tests = await run()
}

const fixed = merged.filter(one => !stillFails(one))
const open = merged.filter(stillFails).map(one => ({ ...one, why: 'its tests still fail' }))
// What an earlier round missed and a later one fixed is no longer missing.
const notFixed = [...open, ...missed].filter(one => stillFails(one) && !fixed.some(other => other.title === one.title))
log(`${tests.ok ? 'the tests pass' : 'the tests fail'} after ${round} rounds: ${fixed.length} fixed, ${notFixed.length} not`)

return {
  ok: tests.ok,
  rounds: round,
  fixed: fixed.map(({ title, tests, what, files }) => ({ title, tests, what, files })),
  notFixed: notFixed.map(({ title, tests, why }) => ({ title, tests, why })),
  output: tests.ok ? null : tests.output.slice(-SHOWN),
}

/** Runs the tests. The exit code decides; the output is for whoever fixes. */
async function run() {
  const ended = await check(command, { timeoutMinutes })
  const output = `${ended.stdout}\n${ended.stderr}`.trim()
  log(ended.ok ? 'the tests pass' : `the tests fail (exit code ${ended.exitCode ?? 'none: out of time'})`)
  return { ok: ended.ok, output }
}

/** Which causes the failures have, as far as the output knows their tests: a test that it does not name is made up. */
async function split() {
  const answer = await agent(
    `\`${command}\` fails:\n\n${excerpt()}\n\nSplit the failures into causes that can be fixed independently of each other. ` +
      `Failures with one cause belong together. Name each test exactly as the output does.`,
    { label: `split, round ${round}`, phase: 'Split', schema: CAUSES },
  )
  if (answer === null) {
    log('nobody split the failures: nothing is fixed in this round')
    return []
  }
  const named = answer.causes.map(cause => ({ ...cause, tests: cause.tests.filter(name => tests.output.includes(name)) }))
  const real = named.filter(cause => cause.tests.length > 0)
  if (real.length < answer.causes.length) log(`${answer.causes.length - real.length} causes name no test that fails: dropped`)
  if (real.length > most) log(`${real.length - most} causes wait for the next round (most: ${most})`)
  return real.slice(0, most)
}

/** A fix for one cause. */
function fix(cause) {
  return change(
    cause,
    `\`${command}\` fails. Fix one cause, and nothing else:\n\n${cause.title}\n${cause.why}\nTests: ${cause.tests.join(', ')}\n\n` +
      `The output:\n\n${excerpt()}\n\n${rules()}`,
    { label: cause.title, phase: 'Fix' },
  )
}

/** Has something changed in a worktree of its own. With `only`, that ends when the tests of the cause pass there. */
async function change(cause, prompt, shown) {
  const options = { ...shown, schema: DONE, isolation: 'worktree', full: true, retry: { attempts: 2 } }
  if (only) options.check = only.replaceAll('{tests}', () => cause.tests.map(quoted).join(' '))
  try {
    return await agent(prompt, options)
  } catch (error) {
    return { value: null, reason: error.message, worktree: null } // a cap, too: what was merged before has to be told
  }
}

/** Merges a fix. What conflicts with what was merged before it is done again, once, on the merged state. */
async function bring(cause, done) {
  const miss = why => {
    log(`${cause.title}: ${why}`)
    missed.push({ ...cause, why })
  }
  const lacks = missing(done)
  if (lacks !== null) return miss(lacks)
  let { worktree, value } = done
  try {
    let result = await mergeWorktree(worktree, { message: cause.title })
    if (!result.ok) {
      log(`${cause.title}: conflicts in ${result.conflicts.join(', ')}; done again on the merged state`)
      const again = await redo(cause, worktree, result.conflicts)
      const lacks = missing(again)
      if (lacks !== null) return miss(`conflicts, and when it was done again: ${lacks}`)
      value = again.value
      result = await mergeWorktree(again.worktree, { message: cause.title })
      if (!result.ok) return miss(`conflicts in ${result.conflicts.join(', ')}, also when it was done again`)
    }
    merged.push({ ...cause, what: value.what, files: result.files })
  } catch (error) {
    if (error.code !== 'changes_in_the_way') throw error
    miss(error.message) // the user's own changes come first; the branch is kept
  }
}

/** Does a fix again that could not be merged: from what it was, on top of what is there now. */
async function redo(cause, worktree, conflicts) {
  const diff = await check(`git diff ${worktree.base} ${worktree.branch}`)
  return change(
    cause,
    `This change fixes "${cause.title}", but others have changed the same places since (${conflicts.join(', ')}):\n\n` +
      `${diff.stdout.slice(0, SHOWN)}\n\nMake it again on the files as they are now, and keep what the others did.\n\n${rules()}`,
    { label: `again: ${cause.title}` },
  )
}

/** Why there is nothing to merge in an answer, or null when there is. */
function missing(done) {
  if (done === null) return 'the agent failed'
  if (done.value === null) return `the agent gave no answer (${done.reason})`
  if (!done.value.fixed) return done.value.what
  if (!done.worktree) return 'the agent says that it is fixed, and changed nothing'
  return null
}

function stillFails({ tests: names }) {
  return !tests.ok && names.some(name => tests.output.includes(name))
}

function quoted(name) {
  return `'${name.replaceAll("'", "'\\''")}'`
}

function excerpt() {
  const { output } = tests
  return output.length > SHOWN ? `[the last ${SHOWN} of ${output.length} characters]\n${output.slice(-SHOWN)}` : output
}

function rules() {
  return (
    'Change the code that is wrong, not its tests, unless a test is what is wrong. Change as little as possible: others ' +
    `fix other causes at the same time.${hint ? `\n\n${hint}` : ''}`
  )
}
