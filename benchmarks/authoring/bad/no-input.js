// Wrong on purpose: has_input

export const meta = {
  name: 'no-input',
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

return pipeline(args.items, item => agent('Review the file.', { label: item }))
