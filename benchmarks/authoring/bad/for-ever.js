// Wrong on purpose: bounded

export const meta = {
  name: 'for-ever',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

let done = false
while (!done) {
  const answer = await agent(`Go on with ${args.items[0]}`)
  done = answer === 'finished'
}
return done
