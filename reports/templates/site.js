'use strict';
for (const block of document.querySelectorAll('pre')) block.tabIndex = 0;
