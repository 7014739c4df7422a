// Repair the failing tests, round by round, until they pass; give up at some point.

export const meta = {
  name: 'repair-tests',
  description: 'Repair the failing tests, round by round, until they pass; give up at some point.',
  args: {
    type: 'object',
    required: ['command'],
    properties: {
      command: { type: 'string', minLength: 1 },
    },
  },
  limits: { agents: 4 },
  permissions: ['check'],
}

const { command } = args
const ROUNDS = 4
const DONE = { type: 'object', required: ['what'], properties: { what: { type: 'string', minLength: 1 } } }

const changes = []
let result = await check(command)
for (let round = 1; round <= ROUNDS && !result.ok; round++) {
  log(`round ${round} of ${ROUNDS}: ${command} exits with ${result.exitCode}`)
  const answer = await agent(
    `Repair what is broken, in the code and not in the tests. \`${command}\` has to pass; it says:\n\n${(result.stdout + result.stderr).slice(-6000)}`,
    { label: `round ${round}`, schema: DONE },
  )
  if (answer === null) log(`round ${round}: nobody answered`)
  else changes.push(answer.what)
  result = await check(command)
}
return { ok: result.ok, changes, exitCode: result.exitCode }
