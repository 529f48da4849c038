"""Array files, images and metrics of the library, against NumPy and Pillow."""
import functools
import os
import subprocess

import numpy as np
from PIL import Image

import harness

FLOAT, UINT8, FLOAT16, DOUBLE = 1, 2, 10, 11
random = np.random.default_rng(7)
probe_program = None


def check(what, ok):
    assert ok, what


def probe(*args):
    return subprocess.run([probe_program, *map(str, args)], capture_output=True, text=True)


def batches(folder, shape, path, type_=FLOAT, batch=4, **options):
    out = os.path.join(folder, 'out')
    for name in os.listdir(folder):
        if name.startswith('out.'):
            os.unlink(os.path.join(folder, name))
    args = [text for name, value in options.items() for text in (name, value)]
    run = probe('images', out, batch, type_, 'x'.join(map(str, shape)), path, *args)
    if run.returncode:
        return run.stderr, None
    parts = []
    while os.path.exists(f'{out}.{len(parts)}.npy'):
        parts.append(np.load(f'{out}.{len(parts)}.npy'))
    return np.concatenate(parts), np.load(out + '.labels.npy')


def test_npy(folder):
    a, b = os.path.join(folder, 'a.npy'), os.path.join(folder, 'b.npy')
    shapes = [(), (0,), (5,), (3, 4), (2, 0, 3), (2, 3, 4, 5), (1,) * 16]
    for code in ['b1', 'u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8', 'f2', 'f4', 'f8', 'c8', 'c16']:
        for shape in shapes:
            for order in 'CF':
                for endian in '<>':
                    x = np.asarray(random.integers(0, 2 if code == 'b1' else 100, shape)).astype(endian + code)
                    x = np.asarray(x, order=order)
                    np.save(a, x)
                    run = probe('npy', a, b)
                    y = np.load(b) if run.returncode == 0 else None
                    check(f'npy {code} {shape} {order} {endian} {run.stderr}', y is not None and y.shape == x.shape
                          and y.dtype == np.dtype('<' + code) and (y == x).all())
    for version in [(1, 0), (2, 0), (3, 0)]:
        with open(a, 'wb') as f:
            np.lib.format.write_array(f, np.arange(6.).reshape(2, 3), version=version)
        check(f'npy version {version}', probe('npy', a, b).returncode == 0 and np.load(b)[1, 2] == 5)
    for what, x in [('object', np.array([{}, 1], dtype=object)), ('structure', np.zeros(2, dtype='i4,f4')),
                    ('date', np.array(['2020-01-01'], dtype='M8[D]'))]:
        np.save(a, x)
        run = probe('npy', a, b)
        check(f'npy {what}: {run.stderr}', run.returncode == 2 and 'UNSUPPORTED' in run.stderr)


def test_npz(folder):
    a, b = os.path.join(folder, 'a.npz'), os.path.join(folder, 'b.npz')
    arrays = {'conv1.weight': random.integers(0, 2, (16, 3, 3, 3)).astype('u1'), '/layer1/conv::w': np.ones((2, 2), 'u1'),
              'x y': np.arange(5, dtype='>f4'), 'gewicht_ä': np.asfortranarray(random.normal(size=(30, 40))),
              'empty': np.zeros((0, 3)), 'scalar': np.float32(3), 'a.npy': np.arange(3)}
    for save in (np.savez, np.savez_compressed):
        save(a, **arrays)
        run = probe('npz', a, b)
        check(f'npz {run.stderr}', run.returncode == 0)
        with np.load(b) as z:
            check(f'npz names {z.files}', set(z.files) == set(arrays))
            for name in arrays:
                check(f'npz {name}', name in z.files and (z[name] == arrays[name]).all() and z[name].shape == arrays[name].shape)
    first = open(b, 'rb').read()
    probe('npz', a, b)
    check('npz is reproducible', first == open(b, 'rb').read())
    np.savez(a)
    check('npz without arrays', probe('npz', a, b).returncode == 0 and np.load(b).files == [])


def as_pillow(path, mode, resize, crop):
    image = Image.open(path).convert(mode)
    if resize:
        w, h = image.size
        short = min(w, h)
        image = image.resize((int(resize * w / short), int(resize * h / short)), Image.BILINEAR)
    x = np.asarray(image)
    if x.ndim == 2:
        x = x[:, :, None]
    if crop:
        top, left = (x.shape[0] - crop) // 2, (x.shape[1] - crop) // 2
        x = x[top:top + crop, left:left + crop]
    return x.transpose(2, 0, 1)


def make_images(folder):
    os.mkdir(folder)
    smooth = np.asarray(Image.fromarray(random.integers(0, 256, (9, 12, 4), dtype=np.uint8)).resize((161, 123), Image.BICUBIC))
    rgb = Image.fromarray(np.ascontiguousarray(smooth[:, :, :3]))
    rgb.save(folder + '/a_rgb.jpg', quality=90)
    rgb.save(folder + '/b_progressive.jpeg', quality=75, progressive=True)
    rgb.convert('L').save(folder + '/c_grey.JPG')
    rgb.convert('CMYK').save(folder + '/d_cmyk.jpg')
    rgb.save(folder + '/e_444.jpg', subsampling=0)
    rgb.save(folder + '/f_rgb.png')
    Image.fromarray(smooth).save(folder + '/g_rgba.png')
    rgb.convert('L').save(folder + '/h_grey.png')
    rgb.convert('P').save(folder + '/i_palette.png')
    rgb.convert('1').save(folder + '/j_bits.png')
    rgb.convert('LA').save(folder + '/k_grey_alpha.png')
    rgb.convert('P').save(folder + '/l_transparent.png', transparency=3)
    rgb.save(folder + '/m_rgb_key.png', transparency=(1, 2, 3))
    open(folder + '/readme.txt', 'w').write('no image')


def test_folder(folder):
    images = os.path.join(folder, 'images')
    make_images(images)
    names = sorted(n for n in os.listdir(images) if not n.endswith('.txt'))
    for mode, channels in (('RGB', 3), ('L', 1)):
        for resize, crop in ((0, 0), (64, 48), (200, 199), (123, 0), (40, 0), (0, 77)):
            want = np.stack([as_pillow(os.path.join(images, n), mode, resize, crop) for n in names])
            got, _ = batches(folder, (-1, channels, *want.shape[2:]), images, resize=resize, crop=crop)
            if isinstance(got, str):
                check(f'folder {mode} {resize} {crop}: {got}', False)
                continue
            for i, name in enumerate(names):
                check(f'{name} {mode} {resize} {crop}: {np.abs(got[i] - want[i]).max()}', (got[i] == want[i]).all())
    got, _ = batches(folder, (-1, 3, 224, 224), images)
    check(f'other size: {got}', isinstance(got, str) and '--resize' in got)


def test_arrays(folder):
    a = os.path.join(folder, 'a.npy')
    x = random.integers(0, 256, (10, 12, 15, 3), dtype=np.uint8)
    np.save(a, x)
    mean, std = np.array([.485, .456, .406]), np.array([.229, .224, .225])
    normal = dict(scale=1 / 255, mean='.485,.456,.406', std='.229,.224,.225')
    want = ((x / 255 - mean) / std).transpose(0, 3, 1, 2)
    got, _ = batches(folder, (-1, 3, 12, 15), a, **normal)
    check('normalised', got.dtype == np.float32 and np.abs(got - want).max() < 1e-6)
    got, _ = batches(folder, (-1, 12, 15, 3), a, **normal)
    check('NHWC model', np.abs(got.transpose(0, 3, 1, 2) - want).max() < 1e-6)
    got, _ = batches(folder, (-1, 3, 12, 15), a, type_=FLOAT16, **normal)
    check('float16 model', got.dtype == np.float16 and (got == want.astype(np.float32).astype(np.float16)).all())
    got, _ = batches(folder, (-1, 3, 12, 15), a, type_=UINT8)
    check('uint8 model', got.dtype == np.uint8 and (got == x.transpose(0, 3, 1, 2)).all())
    got, _ = batches(folder, (1, 3, 12, 15), a, batch=1, bgr=1, mean='104,117,123')
    check('bgr', (got == x[..., ::-1].transpose(0, 3, 1, 2) - np.array([104, 117, 123.])[:, None, None]).all())
    got, _ = batches(folder, (-1, 540), a, limit=7)
    check('flat model and limit', (got == x.transpose(0, 3, 1, 2).reshape(10, -1)[:7]).all())
    np.save(a, x.transpose(0, 3, 1, 2))
    got, _ = batches(folder, (-1, 3, 12, 15), a, layout='nchw')
    check('planes', (got == x.transpose(0, 3, 1, 2)).all())
    for code in ('f2', '>f4', 'f8'):
        np.save(a, want.astype(code))
        got, _ = batches(folder, (-1, 3, 12, 15), a)
        check(f'float as it is {code}', (got == want.astype(code).astype('f4')).all())
    f = random.normal(size=(2, 3, 31, 45)).astype('f4')
    np.save(a, f)
    got, _ = batches(folder, (-1, 3, 20, 29), a, resize=20)
    want = np.stack([[np.asarray(Image.fromarray(p).resize((29, 20), Image.BILINEAR)) for p in image] for image in f])
    check(f'float resize {np.abs(got - want).max()}', np.abs(got - want).max() < 1e-5)


def test_shared(folder, context):
    data = str(context.data('.'))
    got, labels = batches(folder, (-1, 3, 224, 224), data + '/imagenet/val1300', batch=16, crop=224, limit=32,
                          labels=data + '/imagenet/labels.txt')
    want = np.load(data + '/imagenet/first32_224.npy').transpose(0, 3, 1, 2)
    check(f'val1300 pixels {np.abs(got - want).max()}', (got == want).all())
    check('val1300 labels', (labels == np.load(data + '/imagenet/labels.npy')[:32]).all())
    import gzip
    for name in ('mnist', 'fashion-mnist'):
        path = f'{data}/{name}/t10k-images-idx3-ubyte.gz'
        got, labels = batches(folder, (-1, 1, 28, 28), path, batch=5000,
                              labels=f'{data}/{name}/t10k-labels-idx1-ubyte.gz')
        want = np.frombuffer(gzip.open(path).read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
        check(name, (got == want).all() and len(labels) == 10000 and labels.max() == 9)


def test_metrics(folder):
    a, b, l = (os.path.join(folder, n) for n in ('ma.npy', 'mb.npy', 'ml.npy'))
    softmax = lambda x: np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    for case in ('logits', 'probabilities', 'ties', 'half'):
        x, y = random.normal(size=(50, 20)) * 5, random.normal(size=(50, 20)) * 5
        if case == 'probabilities':
            x, y = softmax(x), softmax(y)
        if case == 'ties':
            x = np.round(x)
        x = x.astype('f2' if case == 'half' else 'f4')
        y = y.astype('f4')
        labels = random.integers(0, 20, 50)
        for path, value in ((a, x), (b, y), (l, labels)):
            np.save(path, value)
        run = probe('metrics', a, b, l, 5)
        got = list(map(float, run.stdout.split())) if run.returncode == 0 else [np.nan] * 7
        x, y = x.astype('f8'), y.astype('f8')
        p, q = (x, y) if case == 'probabilities' else (softmax(x), softmax(y))
        hits = (np.argsort(-x, 1, kind='stable')[:, :5] == labels[:, None]).sum()
        z, n = 1.959963984540054, 50
        centre = (hits / n + z * z / 2 / n) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(hits / n * (1 - hits / n) / n + z * z / 4 / n / n)
        want = [hits, np.abs(x - y).max(), (x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y),
                10 * np.log10((x.max() - x.min()) ** 2 / ((x - y) ** 2).mean()),
                (p * np.log(p / q)).sum(1).mean(), centre - half, centre + half]
        check(f'metrics {case}: {got} {want}', np.allclose(got, want, rtol=1e-9))


def run(test, context):
    global probe_program
    probe_program = context.program.parent / 'tests' / 'interop' / 'data_probe'
    test(str(context.folder), *([context] if test is test_shared else []))


TESTS = {
    '.npy files are read as NumPy does': test_npy,
    '.npz files are read as NumPy does': test_npz,
    'image folders are read as Pillow does': test_folder,
    'image arrays are prepared as NumPy and Pillow do': test_arrays,
    'shared images are read as NumPy and Pillow do': test_shared,
    'metrics are what NumPy computes': test_metrics,
}


def tests():
    for what, test in TESTS.items():
        yield what, functools.partial(run, test)
