// Wrong on purpose: code_does_code

export const meta = {
  name: 'counts-by-model',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 2 },
}

return agent(`Count the items in ${args.items.join(', ')}`)
