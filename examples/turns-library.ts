/**
 * Taking turns from code: two deploys of one environment never overlap, whichever machine they run on.
 *
 *   node examples/turns-library.ts        (a server must run: npm start)
 */
import { turns } from '../src/index.ts' // in your project: from 'signalbox'

async function deploy(name: string): Promise<void> {
  await turns.run({ queue: 'staging', labels: { name } }, async ({ fence, signal }) => {
    console.log(`${name}: my turn, fence ${fence}`)
    // Give the fence to whatever the turn protects, so that it can refuse an older one; stop when the signal aborts.
    for (let step = 1; step <= 3 && !signal.aborted; step++) {
      await new Promise((wake) => setTimeout(wake, 100))
      console.log(`${name}: step ${step}`)
    }
  })
}

await Promise.all([deploy('blue'), deploy('green')])
