// Every page, in light and dark and on a narrow screen: nobody is kept out, and nothing is wider than the screen.
import assert from 'node:assert/strict';
import { accessible, console_, flow, shot, signIn } from './browser.mjs';

const PAGES = [
  '/ui/', '/ui/refresh/purge', '/ui/refresh/prefetch', '/ui/refresh/records', '/ui/refresh/records/RECORD',
  '/ui/check?url=http%3A%2F%2Fdemo.localhost%2Fa.txt', '/ui/fleet', '/ui/domains', '/ui/domains/new',
  '/ui/domains/demo.localhost', '/ui/library', '/ui/quotas', '/ui/accounts', '/ui/accounts/demo', '/ui/users', '/ui/trail',
  '/ui/me', '/ui/no-such-page',
];

await flow('pages', async (open) => {
  for (const scheme of ['light', 'dark']) {
    const page = await open({ scheme });
    await page.goto(`${console_}/ui/sign-in`);
    await accessible(page, `sign-in, ${scheme}`);
    await shot(page, `sign-in-${scheme}`);
    await signIn(page);
    await page.goto(`${console_}/ui/refresh/purge`);
    await page.getByLabel('Entries, one a line').fill('http://demo.localhost/a b\nhttp://demo.localhost/c');
    await page.getByText('1 line cannot be submitted.').waitFor();
    await accessible(page, `faults, ${scheme}`);
    await page.getByLabel('Entries, one a line').fill('http://demo.localhost/a.txt');
    await page.getByText('1 line is fine.').waitFor();
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('heading', { name: 'What it would do' }).waitFor();
    await accessible(page, `preview, ${scheme}`);
    await page.getByRole('button', { name: 'Purge' }).click();
    await page.locator('.numbers .state').getByText('complete').waitFor();
    const record = new URL(page.url()).pathname.split('/').pop();
    await page.goto(`${console_}/ui/refresh/prefetch`);
    await page.getByLabel('URLs, one a line').fill('http://demo.localhost/video/master.m3u8\nhttp://demo.localhost/a.txt');
    await page.getByLabel('What they name').selectOption('all');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('heading', { name: 'What it would fetch' }).waitFor();
    await accessible(page, `prefetch preview, ${scheme}`);
    await shot(page, `prefetch-preview-${scheme}`);
    await page.getByRole('button', { name: 'Prefetch' }).click();
    await page.locator('.numbers .state').getByText('complete').waitFor();
    await accessible(page, `prefetch record, ${scheme}`);
    await shot(page, `prefetch-record-${scheme}`);
    for (const place of PAGES) {
      const path = place.replace('RECORD', record);
      await page.goto(console_ + path);
      const name = `${place.replace(/\?.*|^\/ui\//g, '').replaceAll('/', '-') || 'overview'}-${scheme}`;
      await accessible(page, name);
      await shot(page, name);
    }
  }
  const narrow = await open({ width: 360 });
  await signIn(narrow);
  for (const path of PAGES.filter((path) => !path.includes('RECORD'))) {
    await narrow.goto(console_ + path);
    const wide = await narrow.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${path} is ${wide} wide`);
    await shot(narrow, `narrow-${path.replace(/\?.*|^\/ui\//g, '').replaceAll('/', '-') || 'overview'}`);
  }
});
