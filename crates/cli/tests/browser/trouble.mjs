// One POP was killed: the fleet shows it, and a purge says what that means.
import assert from 'node:assert/strict';
import { accessible, console_, flow, shot, signIn } from './browser.mjs';

await flow('trouble', async (open) => {
  for (const scheme of ['light', 'dark']) {
    const page = await open({ scheme });
    await signIn(page);
    await page.goto(`${console_}/ui/fleet`);
    // It comes by itself where control has not noticed yet.
    const row = page.getByRole('row', { name: /pop-europe .*not connected/ });
    await row.waitFor();
    await page.getByText('2 of 3').first().waitFor();
    const well = page.getByRole('row', { name: /pop-asia .*well/ });
    const colour = (of) => of.getByRole('rowheader').evaluate((cell) => getComputedStyle(cell).backgroundColor);
    assert.notEqual(await colour(row), await colour(well), 'it is of another colour');
    await accessible(page, `trouble, ${scheme}`);
    await shot(page, `trouble-${scheme}`);
  }
  const page = await open();
  await signIn(page);
  await page.goto(`${console_}/ui/refresh/purge`);
  await page.getByLabel('Entries, one a line').fill('http://demo.localhost/a.txt');
  await page.getByRole('button', { name: 'Purge' }).click();
  await page.locator('.numbers .state').getByText('complete').waitFor();
  await page.getByRole('row', { name: /pop-europe fenced/ }).waitFor();
  await page.getByRole('row', { name: /pop-asia confirmed/ }).waitFor();
  await shot(page, 'fenced');
});
