// Wrong on purpose: permissions, caps

export const meta = {
  name: 'unasked',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
}

const result = await check('true')
return agent(`What does it say? ${result.stdout}`)
