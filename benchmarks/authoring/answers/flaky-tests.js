// Run the tests a few times, find those that sometimes fail, and have the cause of each explained.

export const meta = {
  name: 'flaky-tests',
  description: 'Run the tests a few times, find those that sometimes fail, and have the cause of each explained.',
  args: {
    type: 'object',
    required: ['command'],
    properties: {
      command: { type: 'string', minLength: 1 },
    },
  },
  limits: { agents: 2 },
  permissions: ['check'],
}

const { command } = args
const TIMES = 3
const CAUSES = {
  type: 'object',
  required: ['causes'],
  properties: {
    causes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['test', 'cause'], properties: { test: { type: 'string', minLength: 1 }, cause: { type: 'string', minLength: 1 } } } },
  },
}
const outputs = []
for (let time = 1; time <= TIMES; time++) outputs.push(await check(`${command} # time ${time}`))
const failed = outputs.filter(output => !output.ok)
log(`${failed.length} of ${TIMES} failed`)
if (failed.length === 0 || failed.length === TIMES) return { isFlaky: false, causes: [] }
const answer = await agent(`\`${command}\` failed ${failed.length} of ${TIMES} times. Why?\n\n${failed.map(one => one.stdout.slice(-3000)).join('\n---\n')}`, { label: 'causes', schema: CAUSES })
if (answer === null) log('nobody explained it')
return { isFlaky: true, causes: answer?.causes ?? [] }
