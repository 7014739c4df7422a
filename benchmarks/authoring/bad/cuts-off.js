// Wrong on purpose: says_caps

export const meta = {
  name: 'cuts-off',
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

const some = args.items.slice(0, 3)
return pipeline(some, item => agent(`Read ${item}`))
