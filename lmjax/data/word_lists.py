"""Lists of words that cleaning looks up."""

# Function words of English
STOP_WORDS = """
a about above after again against all am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further had has have
having he her here hers herself him himself his how i if in into is it its itself just me more
most my myself no nor not now of off on once only or other our ours ourselves out over own same
she should so some such than that the their theirs them themselves then there these they this
those through to too under until up very was we were what when where which while who whom why will
with would you your yours yourself yourselves
"""

# HTML elements that begin on a line of their own, and the others
BLOCK_ELEMENTS = """
address article aside blockquote body br caption center dd details dialog div dl dt fieldset
figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol p
pre section summary table tbody td tfoot th thead title tr ul
"""
INLINE_ELEMENTS = """
a abbr acronym audio b base bdi bdo big button canvas cite code col colgroup data datalist del dfn
em embed font frame frameset i iframe img input ins kbd label link map mark meta meter noscript
object optgroup option output param picture progress q ruby rp rt s samp script select slot small
source span strike strong style sub sup svg template textarea time track tt u var video wbr
"""
