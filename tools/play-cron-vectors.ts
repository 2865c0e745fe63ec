/**
 * Plays files of schedule expressions (test/schedules/vectors/play.ts):
 *
 *     npm run vectors:cron -- FILE…
 *
 * Prints one line for each failing vector and `N passed, M failed` for each file; ends with 1 when any vector failed or a file
 * could not be played.
 */
import { playVectors, readVectors, type Vectors } from '../test/schedules/vectors/play.ts'

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('usage: npm run vectors:cron -- FILE…')
  process.exit(64)
}
for (const file of files) {
  if (!passes(file)) process.exitCode = 1
}

function passes(file: string): boolean {
  let vectors: Vectors
  try {
    vectors = readVectors(file)
  } catch (error) {
    console.error(`${file}: ${(error as Error).message.replaceAll('\n', ' ')}`)
    return false
  }
  const { passed, failures } = playVectors(vectors)
  for (const failure of failures) console.log(failure)
  console.log(`${passed} passed, ${failures.length} failed`)
  return failures.length === 0
}
