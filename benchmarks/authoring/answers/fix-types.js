// Make the type checker pass without ignoring anything.

export const meta = {
  name: 'fix-types',
  description: 'Make the type checker pass without ignoring anything.',
  args: {
    type: 'object',
    required: ['command'],
    properties: {
      command: { type: 'string', minLength: 1 },
    },
  },
  limits: { agents: 6 },
  permissions: ['check'],
}

const { command } = args
const ROUNDS = 6
const DONE = { type: 'object', required: ['what'], properties: { what: { type: 'string', minLength: 1 } } }

const changes = []
let result = await check(command)
for (let round = 1; round <= ROUNDS && !result.ok; round++) {
  log(`round ${round} of ${ROUNDS}: ${command} exits with ${result.exitCode}`)
  const answer = await agent(
    `Mend the type errors; ignore none of them, and cast nothing. \`${command}\` has to pass; it says:\n\n${(result.stdout + result.stderr).slice(-6000)}`,
    { label: `round ${round}`, schema: DONE },
  )
  if (answer === null) log(`round ${round}: nobody answered`)
  else changes.push(answer.what)
  result = await check(command)
}
return { ok: result.ok, changes, exitCode: result.exitCode }
