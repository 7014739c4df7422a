// Sort incoming issues by area and urgency, and tell me which ones nobody could place.

export const meta = {
  name: 'triage',
  description: 'Sort incoming issues by area and urgency, and tell me which ones nobody could place.',
  args: {
    type: 'object',
    required: ['issues'],
    properties: {
      issues: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 10 },
}

const { issues } = args
const PLACE = {
  type: 'object',
  required: ['area', 'urgency'],
  properties: { area: { enum: ['core', 'docs', 'build', 'other'] }, urgency: { enum: ['now', 'soon', 'later'] } },
}
const RANK = { now: 0, soon: 1, later: 2 }
const places = await pipeline(issues, issue => agent(`Which area is this issue about, and how urgent is it?\n\n${issue}`, { label: issue.slice(0, 40), schema: PLACE }))
const placed = issues.map((issue, i) => ({ issue, place: places[i] })).filter(({ place }) => place !== null)
const unplaced = issues.filter((_, i) => places[i] === null)
log(`${placed.length} placed, ${unplaced.length} not`)
return { placed: placed.toSorted((a, b) => RANK[a.place.urgency] - RANK[b.place.urgency]), unplaced }
