// A purge: faults at their lines, a preview, the record, its receipt; with scripts and without.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { console_, flow, shot, signIn } from './browser.mjs';

await flow('purge', async (open) => {
  const page = await open();
  await signIn(page);
  await page.getByRole('link', { name: 'Refresh and Prefetch' }).click();
  const lines = page.getByLabel('Entries, one a line');
  // Each key is typed, as a person does.
  await lines.pressSequentially('http://demo.localhost/a.txt\nhttp://elsewhere.example/x\n');
  await page.getByText('elsewhere.example is not a domain of this account').waitFor();
  assert.equal(await page.locator('.numbers-of-lines b').innerText(), '2');
  await shot(page, 'purge-faults');
  await page.locator('.faults a').click();
  assert.equal(await lines.evaluate((box) => box.value.slice(box.selectionStart, box.selectionEnd)), 'http://elsewhere.example/x');
  await lines.fill('http://demo.localhost/a.txt\nhttp://demo.localhost/images/noon.png');
  await page.getByText('2 lines are fine.').waitFor();
  await page.locator('.numbers-of-lines b').waitFor({ state: 'detached' });

  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByRole('heading', { name: 'What it would do' }).waitFor();
  await page.getByRole('row', { name: /pop-europe/ }).waitFor();
  await shot(page, 'purge-preview');
  await page.getByLabel('At each POP at most').waitFor({ state: 'hidden' });
  await page.getByLabel('Afterwards').selectOption('refill');
  await page.getByLabel('At each POP at most').fill('much');
  await page.getByRole('button', { name: 'Purge' }).click();
  await page.getByText('is no bound').waitFor();
  await page.getByLabel('Afterwards').selectOption('prefetch');
  await page.getByRole('button', { name: 'Purge' }).click();
  await page.getByRole('heading', { name: /Operation \d+: purge URL/ }).waitFor();
  // The rest comes by itself.
  await page.locator('.numbers .state').getByText('complete').waitFor();
  await page.getByRole('row', { name: /pop-asia confirmed/ }).waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the receipt' }).click()]);
  const receipt = JSON.parse(fs.readFileSync(await download.path(), 'utf8'));
  assert.ok(receipt.key && receipt.statement && receipt.signature, 'a certificate');
  await shot(page, 'purge-record');
  const behind = await page.getByRole('link', { name: /^operation \d+$/ }).getAttribute('href');
  await page.getByRole('link', { name: 'Run again' }).click();
  assert.equal(await page.getByLabel('Afterwards').inputValue(), 'prefetch');
  assert.match(await page.getByLabel('Entries, one a line').inputValue(), /a\.txt\n.*noon\.png$/);

  await page.goto(console_ + behind);
  await page.getByText('Follows').waitFor();
  await page.locator('.numbers .state').getByText('complete').waitFor();

  // Without scripts every step is a page.
  const plain = await open({ javaScript: false });
  await signIn(plain);
  await plain.goto(`${console_}/ui/refresh/purge`);
  await plain.getByLabel('Folder').check();
  await plain.getByLabel('Entries, one a line').fill('http://demo.localhost/d');
  await plain.getByRole('button', { name: 'Purge' }).click();
  await plain.getByText('a directory ends with /').waitFor();
  await plain.getByLabel('Entries, one a line').fill('http://demo.localhost/d/');
  await plain.getByRole('button', { name: 'Preview' }).click();
  await plain.getByRole('heading', { name: 'What it would do' }).waitFor();
  await plain.getByRole('button', { name: 'Purge' }).click();
  await plain.getByRole('heading', { name: /Operation \d+: purge folder/ }).waitFor();
  const list = await open({ javaScript: false });
  await signIn(list);
  await list.goto(`${console_}/ui/refresh/records`);
  await list.locator('select[name=type]').selectOption('directory');
  await list.getByRole('button', { name: 'Show' }).click();
  await list.getByRole('cell', { name: 'http://demo.localhost/d/' }).waitFor();
  assert.equal(await list.getByRole('cell', { name: 'a.txt' }).count(), 0);
  await list.goto(`${console_}/ui/refresh/records?url=noon.png`);
  await list.getByRole('cell', { name: /a\.txt and 1 more/ }).first().waitFor();
});
