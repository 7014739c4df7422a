// Wrong on purpose: handles_null

export const meta = {
  name: 'no-look',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 5 },
}

const answer = await agent(`Look at ${args.items.join(', ')}`, { schema: { type: 'object', required: ['a'], properties: { a: { type: 'array', items: { type: 'string' } } } } })
return answer.a.length
