// Collect edge cases that we do not test until nobody finds new ones.

export const meta = {
  name: 'dry-ideas',
  description: 'Collect edge cases that we do not test until nobody finds new ones.',
  limits: { agents: 8 },
}

const CASES = {
  type: 'object',
  required: ['cases'],
  properties: {
    cases: { type: 'array', maxItems: 5, items: { type: 'object', required: ['name', 'input'], properties: { name: { type: 'string', minLength: 1 }, input: { type: 'string', minLength: 1 } } } },
  },
}
const { items, rounds, isDry } = await loopUntilDry(async (round, known) => {
  const answer = await agent(`Name edge cases that our tests miss. Round ${round}. Known already: ${known.map(one => one.name).join(', ')}`, { label: `round ${round}`, schema: CASES })
  return answer?.cases ?? null
}, { key: one => one.name, dry: 2, rounds: 8 })
log(`${items.length} cases in ${rounds} rounds${isDry ? '' : ', and there may be more'}`)
return { cases: items, isDry }
