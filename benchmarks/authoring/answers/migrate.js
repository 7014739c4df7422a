// Migrate every file that uses the old API, each in its own worktree, and merge what passes.

export const meta = {
  name: 'migrate',
  description: 'Migrate every file that uses the old API, each in its own worktree, and merge what passes.',
  phases: [{ title: 'Change' }, { title: 'Merge' }],
  args: {
    type: 'object',
    required: ['task'],
    properties: {
      task: { type: 'string', minLength: 1 },
      pattern: { type: 'string', minLength: 1, description: 'default: src' },
      most: { type: 'integer', minimum: 1, maximum: 20, description: 'default: 12' },
    },
  },
  limits: { agents: 40 },
  permissions: ['files'],
}

const { task, pattern = 'src/**/*.*', most = 12 } = args
const PATTERN = pattern
const DONE = { type: 'object', required: ['changed'], properties: { changed: { type: 'boolean' } } }

const all = (await glob(PATTERN)).sort()
const files = all.slice(0, most)
if (all.length > files.length) log(`${all.length - files.length} of ${all.length} files are left out (most: ${most})`)

phase('Change')
const changes = await pipeline(files, file =>
  agent(`${task}\n\nDo it in ${file} only.`, { label: file, schema: DONE, isolation: 'worktree', full: true }))

phase('Merge')
const merged = []
const open = []
for (const [i, change] of changes.entries()) {
  if (!change?.worktree) {
    if (change?.value?.changed !== false) open.push({ file: files[i], why: change?.reason ?? 'nothing came back' })
    continue
  }
  const result = await mergeWorktree(change.worktree, { message: `Migrate ${files[i]}` })
  if (result.ok) merged.push(files[i])
  else open.push({ file: files[i], why: `conflicts in ${result.conflicts.join(', ')}` })
}
log(`${merged.length} merged, ${open.length} open`)
return { merged, open, leftOut: all.length - files.length }
