"""Texts that try to be more than text: scripts, markup, templates, and names that wreck a layout."""

PAYLOADS = [
    "<script>pwned=1;alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//127.0.0.1:9/x.js></script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "</svg><img src=x onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1) autofocus>x</a>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    '" autofocus onfocus=alert(1) tabindex=1 x="',
    "` onmouseover=alert(1) `",
    '"style="position:fixed;inset:0;background:red"onclick="alert(1)',
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=//127.0.0.1:9/>",
    "<form action=javascript:alert(1)><button autofocus>x</button></form>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<marquee onstart=alert(1)>",
    "<math><mtext></table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "]]></code></pre><img src=x onerror=alert(1)>",
    "{{7*7}}{{config}}",
    "{% raw %}{{ ''.__class__ }}{% endraw %}",
    "${alert(1)}",
    "<%= 7*7 %>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "\\u003cimg src=x onerror=alert(1)\\u003e",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "＜script＞alert(1)＜/script＞",
    "<scr\u0000ipt>alert(1)</scr\u0000ipt>".replace("\u0000", "\u200b"),
    "<img src=x onerror\u2028=alert(1)>",
    "x' onerror='alert(1)'.jpg",
]


def groups(*, most: int = 190) -> list[str]:
    """The payloads, several to a text: no longer than what a table shows of a name, and few enough to try each everywhere."""
    found: list[str] = []
    for text in sorted(PAYLOADS, key=lambda text: "\\" in text):  # those in no address, at the end
        if found and "\\" not in text and len(found[-1]) + 1 + len(text) <= most:
            found[-1] += f" {text}"
        else:
            found.append(text)
    return found


NAMES = {
    "turned round": "annual\u202egpj.exe\u2066\u2067\u200f end",
    "ten thousand": "m" * 10_000,
    "ten thousand words": "lorem " * 1_700,
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028\u2029\ufeff",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 60,
    "stacked": "Z" + "\u0335\u0321\u0347\u0359\u0301\u0346" * 200 + "algo" + "\u0489" * 300,
    "wide": "﷽" * 50 + "𒐫" * 20,
    "right to left": "שלום עולם " * 40,
    "line breaks": "a\n\n\n\r\nb\v\fc",
    "spaces": "\u00a0\u3000" * 200,
    "formula": "=cmd|' /C calc'!A0",
    "path": "../../etc/passwd" * 30,
}
