-- Questions to the knowledge base of knowledge.sql, in other words than its entries use, each with the id of the entry
-- that a person would expect. With all-MiniLM-L6-v2 (fp32) over `title || '. ' || content` each of them comes first.

CREATE TEMP TABLE questions (question TEXT NOT NULL, expected TEXT NOT NULL);

INSERT INTO questions (question, expected) VALUES
('How do readers and writers of one database coexist?', 'write-ahead-log'),
('My program gives up immediately because another process is using the file', 'busy-timeout'),
('Scrolling far down a long list gets slower and slower', 'keyset-pagination'),
('How can I merge the results of two different search engines?', 'hybrid-search'),
('I deleted my work by accident, can version control get it back?', 'git-reflog'),
('What gives the sky its colour?', 'rayleigh-scattering'),
('I touched a hot stove, what should I do?', 'burns'),
('Grandma suddenly cannot speak clearly and one arm hangs down', 'stroke'),
('Is dinner still safe if it stood on the counter overnight?', 'danger-zone'),
('Something nibbles my salad at night', 'slugs'),
('Which city lies on two continents?', 'istanbul'),
('Two yachts are about to collide, who must turn away?', 'sailing-right-of-way'),
('How do I memorise vocabulary for good?', 'spaced-repetition'),
('How do I start a task that I dread?', 'two-minute-start');
