// Wrong on purpose: varies

export const meta = {
  name: 'same-words',
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

return parallel(Array.from({ length: 3 }, () => () => agent(`Propose a design for ${args.items[0]}`)))
