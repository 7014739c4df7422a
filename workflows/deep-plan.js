// A plan by contest: several planners work from different starting points and know nothing of each other, a panel of
// judges scores every plan, and the winner is improved with what the others had and it had not.

export const meta = {
  name: 'deep-plan',
  description: 'Several independent plans for a task, scored by a panel of judges; the best one, improved by the others.',
  whenToUse: 'When a task has many ways in and the first idea is seldom the best one.',
  phases: [
    { title: 'Propose', detail: 'one plan for each starting point' },
    { title: 'Judge', detail: 'every judge scores every plan' },
    { title: 'Improve', detail: 'the winner takes over the best of the rest' },
  ],
  args: {
    type: 'object',
    required: ['task'],
    additionalProperties: false,
    properties: {
      task: { type: 'string', minLength: 1 },
      starts: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 2, maxItems: 12, description: 'starting points' },
      judges: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 9, description: 'what each judge looks at' },
    },
  },
  limits: { agents: 150 },
}

const { task } = args
const starts = args.starts ?? [
  'the smallest change that could work',
  'the risk that is most likely to sink it',
  'what the people who use it will notice',
  'how it will be maintained in five years',
]
const judges = args.judges ?? ['whether it would work', 'what it costs', 'what it forgets']

const PLAN = {
  type: 'object',
  required: ['summary', 'steps', 'risks'],
  properties: {
    summary: { type: 'string', maxLength: 400 },
    steps: {
      type: 'array',
      minItems: 1,
      maxItems: 12,
      items: {
        type: 'object',
        required: ['what', 'done'],
        properties: {
          what: { type: 'string', maxLength: 300 },
          done: { type: 'string', maxLength: 200, description: 'how anyone can see that this step is done' },
        },
      },
    },
    risks: { type: 'array', maxItems: 6, items: { type: 'string', maxLength: 200 } },
  },
}

const SCORE = {
  type: 'object',
  required: ['score', 'best', 'worst'],
  properties: {
    score: { type: 'integer', minimum: 0, maximum: 10 },
    best: { type: 'string', maxLength: 200, description: 'the one thing that other plans should take over' },
    worst: { type: 'string', maxLength: 200, description: 'the one thing that has to change' },
  },
}

// No barrier between proposing and judging: a plan is judged as soon as it is written.
const contest = await pipeline(starts, propose, judge)

const ranked = contest.filter(entry => entry !== null).sort((a, b) => b.score - a.score)
const lost = starts.filter((_, i) => contest[i] === null)
for (const start of lost) log(`no plan that could be judged from: ${start}`)
if (ranked.length === 0) throw new Error('no plan was written and judged; see the reasons in `pawl show --calls`')

phase('Improve')
const [winner, ...others] = ranked
const improved = await agent(
  `Task: ${task}\n\nThis plan won a contest:\n${JSON.stringify(winner.plan)}\n\n` +
    `The judges want changed:\n${list(winner.worst)}\n\nWhat they liked in the other plans:\n${list(others.flatMap(other => other.best))}\n\n` +
    'Write the final plan: the winner, with those changes where they help and nothing else.',
  { label: 'improve', schema: PLAN },
)
if (improved === null) log('the winner stands as it was: nobody improved it')

return {
  plan: improved ?? winner.plan,
  improved: improved !== null,
  from: winner.start,
  scores: ranked.map(({ start, score, votes }) => ({ start, score, votes })),
  lost,
}

async function propose(start) {
  const plan = await agent(`Plan this task:\n\n${task}\n\nStart your thinking from ${start}.`, {
    label: `plan from ${start}`,
    phase: 'Propose',
    schema: PLAN,
  })
  if (plan === null) throw new Error(`no plan from ${start}`)
  return plan
}

async function judge(plan, start) {
  const verdicts = await parallel(
    judges.map(eye => () =>
      agent(`Task: ${task}\n\nA plan:\n${JSON.stringify(plan)}\n\nYou look only at ${eye}. Score the plan; 5 is average.`, {
        label: `judge ${eye}`,
        phase: 'Judge',
        schema: SCORE,
      }),
    ),
  )
  const votes = verdicts.filter(verdict => verdict !== null)
  if (votes.length === 0) throw new Error(`no judge gave a score for the plan from ${start}`)
  return {
    start,
    plan,
    score: votes.reduce((sum, verdict) => sum + verdict.score, 0) / votes.length,
    votes: votes.length,
    best: votes.map(verdict => verdict.best),
    worst: votes.map(verdict => verdict.worst),
  }
}

function list(lines) {
  return lines.length > 0 ? lines.map(line => `- ${line}`).join('\n') : '- nothing'
}
