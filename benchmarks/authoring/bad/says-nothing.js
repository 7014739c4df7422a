// Wrong on purpose: returns

export const meta = {
  name: 'says-nothing',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 10 },
}

const found = await pipeline(args.items, item => agent(`Read ${item}`))
log(found)
