// What pages do beside htmx. Without it they work all the same.
'use strict';

// A form that removes something asks first.
document.addEventListener('submit', (event) => {
  const question = event.target.dataset.sure;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);

// The numbers beside a box of lines; those that the server found wrong are marked.
const box = document.querySelector('.lined textarea');
if (box) {
  const numbers = box.parentElement.querySelector('pre');
  const looked = document.getElementById('looked');
  const draw = () => {
    const marked = looked.querySelector('[data-marked]')?.dataset.marked.split(',') ?? [];
    const parts = [];
    for (let line = 1; line <= box.value.split('\n').length; line += 1) {
      const mark = document.createElement(marked.includes(String(line)) ? 'b' : 'span');
      mark.textContent = line;
      parts.push(mark, '\n');
    }
    numbers.replaceChildren(...parts);
    numbers.scrollTop = box.scrollTop;
  };
  box.addEventListener('input', draw);
  box.addEventListener('scroll', () => { numbers.scrollTop = box.scrollTop; });
  document.addEventListener('htmx:afterSettle', draw);
  // From a fault to its line.
  looked.addEventListener('click', (event) => {
    const place = Number(event.target.dataset.line);
    if (!place) return;
    event.preventDefault();
    const before = box.value.split('\n').slice(0, place - 1).join('\n');
    const start = before.length + (place > 1 ? 1 : 0);
    const end = box.value.indexOf('\n', start);
    box.focus();
    box.setSelectionRange(start, end < 0 ? box.value.length : end);
  });
  draw();
}
